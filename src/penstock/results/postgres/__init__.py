"""Results in PostgreSQL. Each contract's statements are in the .sql file of its name.

backend        the contracts together, and how to open them
records        the records' contract
rows           rows as values and back
running        starts, endings, and runs that are given back or lost
feed           the feed of changes
listing        filters and pages
retention      what is deleted because it is old
leases, workers, mailbox, dead, keys, schedules        the contracts of these names
"""

from penstock.results.postgres.backend import PostgresResults, open_results

__all__ = ["PostgresResults", "open_results"]
