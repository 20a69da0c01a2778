"""The shared SQLite driver: one file, any number of processes on one machine.

driver        SQLite, what brokers and result backends hold: steps, run, listen
address       the URL
file          opening the file: checks, settings, schema
place         which file systems can hold it
lock          processes take turns at writing
transactions  group commit and reads
lanes         who executes: a thread beside the event loop, or the caller
haste         whoever holds the lock of the file gets that of the interpreter
wake          listeners in all processes
enlist        steps in transactions of others
errors        SQLite's errors as ours
"""

from penstock.drivers.sqlite.address import open_driver
from penstock.drivers.sqlite.driver import SQLite

__all__ = ["SQLite", "open_driver"]
