"""The language of Penstock: values, rules and contracts. No sockets, no SQL, no threads."""
