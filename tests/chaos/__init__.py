"""Breaking things on purpose while tasks run, with a ledger outside the product that tells what really happened."""
