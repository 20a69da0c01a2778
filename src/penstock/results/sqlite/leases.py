"""The leases' contract on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from penstock.core.errors import LeaseLost
from penstock.core.results import Leases
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite import running
from penstock.results.sqlite.records import RECORDS

SQL = sqlfile.load("penstock.results.sqlite", "leases.sql")


class SQLiteLeases(Leases):
    """Leases in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self._driver = driver

    def open(self, lease: str, worker: str, seconds: float) -> Step[None]:
        """Take out a lease."""

        def take(connection: sqlite3.Connection) -> None:
            given = {"lease": lease, "worker": worker, "now": self._driver.clock(), "seconds": seconds}
            if connection.execute(SQL["open"], given).rowcount == 0:
                raise LeaseLost(f"the lease {lease!r} was condemned, and is dead for ever")

        return self._driver.write(take)

    def renew(self, leases: Sequence[str], seconds: float) -> Step[list[str]]:
        """Prolong those that are alive; return the others."""

        def renew(connection: sqlite3.Connection) -> list[str]:
            until = self._driver.clock() + seconds
            return [lease for lease in leases if connection.execute(SQL["renew"], (until, lease)).rowcount == 0]

        return self._driver.write(renew)

    def owner(self, lease: str) -> Step[str | None]:
        """The worker's name if the lease is alive."""

        def owner(connection: sqlite3.Connection) -> str | None:
            found = connection.execute(SQL["owner"], (lease,)).fetchone()
            return None if found is None else found[0]

        return self._driver.read(owner)

    def lapsed(self, ahead: float = 0.0) -> Step[list[str]]:
        """Those that will have run out by then and are not closed."""

        def lapsed(connection: sqlite3.Connection) -> list[str]:
            return [lease for (lease,) in connection.execute(SQL["lapsed"], (self._driver.clock() + ahead,))]

        return self._driver.read(lapsed)

    def condemn(self, leases: Sequence[str]) -> Step[list[str]]:
        """Declare dead those that have run out."""

        def condemn(connection: sqlite3.Connection) -> list[str]:
            now = self._driver.clock()
            return [lease for lease in leases if connection.execute(SQL["condemn"], (lease, now)).rowcount]

        return self._driver.write(condemn)

    def close(self, leases: Sequence[str]) -> Step[None]:
        """Forget leases; their runs are lost."""

        def close(connection: sqlite3.Connection) -> None:
            connection.executemany(SQL["close"], [(lease,) for lease in leases])
            running.lose(connection, leases, self._driver.clock())

        return self._driver.write(close, RECORDS)
