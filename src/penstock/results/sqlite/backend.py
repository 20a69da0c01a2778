"""The contracts together, on one driver."""

from __future__ import annotations

import sqlite3
from typing import Final

from penstock.core.opening import Opener
from penstock.core.results import ResultBackend
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite, open_driver
from penstock.results.sqlite import dead, keys, leases, logs, mailbox, running, schedules, workers
from penstock.results.sqlite.dead import SQLiteDeadLetters
from penstock.results.sqlite.keys import SQLiteKeys
from penstock.results.sqlite.leases import SQLiteLeases
from penstock.results.sqlite.logs import SQLiteLogs
from penstock.results.sqlite.mailbox import SQLiteMailbox
from penstock.results.sqlite.records import SQLiteRecords
from penstock.results.sqlite.schedules import SQLiteSchedules
from penstock.results.sqlite.workers import SQLiteWorkers

_SCHEMA = [
    statement
    for part in (running, logs, leases, workers, mailbox, dead, keys, schedules)
    for statement in sqlfile.split(part.SQL["schema"])
]
#: raised with every change of the tables or their contents: a file of an older one gets what it lacks when it is opened
_VERSION = 3


class SQLiteResults(ResultBackend):
    """Results in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        driver.require("results", _SCHEMA, _VERSION)
        self.driver = driver
        self.records = SQLiteRecords(driver)
        self.logs = SQLiteLogs(driver)
        self.leases = SQLiteLeases(driver)
        self.workers = SQLiteWorkers(driver)
        self.mailbox = SQLiteMailbox(driver)
        self.dead = SQLiteDeadLetters(driver)
        self.keys = SQLiteKeys(driver)
        self.schedules = SQLiteSchedules(driver)
        self._file = driver

    def ping(self) -> Step[None]:
        """Answer if the file can be written: a write transaction that writes nothing lasting."""
        return self._file.write(_ping)


def _ping(connection: sqlite3.Connection) -> None:
    """Nothing: that a write transaction can begin and end is the answer."""


#: the result backend in the file that `url` names
open_results: Final = Opener(SQLite, open_driver, lambda driver, _: SQLiteResults(driver))
