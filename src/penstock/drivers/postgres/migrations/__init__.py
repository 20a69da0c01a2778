"""The migrations: numbered files of SQL."""
