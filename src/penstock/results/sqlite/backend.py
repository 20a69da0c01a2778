"""The contracts together, on one driver."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from penstock.core.results import ResultBackend
from penstock.core.step import Driver, Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite, open_driver
from penstock.results.sqlite import dead, keys, leases, mailbox, running, schedules, workers
from penstock.results.sqlite.dead import SQLiteDeadLetters
from penstock.results.sqlite.keys import SQLiteKeys
from penstock.results.sqlite.leases import SQLiteLeases
from penstock.results.sqlite.mailbox import SQLiteMailbox
from penstock.results.sqlite.records import SQLiteRecords
from penstock.results.sqlite.schedules import SQLiteSchedules
from penstock.results.sqlite.workers import SQLiteWorkers

_SCHEMA = [
    statement
    for part in (running, leases, workers, mailbox, dead, keys, schedules)
    for statement in sqlfile.split(part.SQL["schema"])
]


class SQLiteResults(ResultBackend):
    """Results in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        driver.require("results", _SCHEMA)
        self.driver = driver
        self.records = SQLiteRecords(driver)
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


def open_results(
    url: str,
    *,
    settings: Any = None,
    driver: Driver | None = None,
    blocking: bool = False,
    clock: Callable[[], float] = time.time,
) -> ResultBackend:
    """The result backend in the file that `url` names, on `driver` if that is given."""
    if driver is None:
        driver = open_driver(url, settings=settings, blocking=blocking, clock=clock)
    assert isinstance(driver, SQLite)
    return SQLiteResults(driver)
