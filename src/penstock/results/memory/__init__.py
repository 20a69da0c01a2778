"""Results in this process's memory, for tests: the behaviour of a result backend without its durability.

backend        the contracts together, and how to open them
rows           what the store keeps of a task, and the feed
records        the records' contract
running        starts and endings
listing        filters
leases, workers, mailbox, dead, keys, schedules        the contracts of these names
"""

from penstock.results.memory.backend import MemoryResults, open_results

__all__ = ["MemoryResults", "open_results"]
