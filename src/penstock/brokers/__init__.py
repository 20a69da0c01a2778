"""Where messages wait: one file a server. They know core and drivers, and not one another."""
