"""The keys' contract on SQLite, and the sweep of everything that has a time to live."""

from __future__ import annotations

import sqlite3
from typing import Any

from penstock.core.results import Keys
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite import mailbox, retention, workers

SQL = sqlfile.load("penstock.results.sqlite", "keys.sql")
_SWEEPS = (SQL["sweep"], SQL["sweep_locks"], mailbox.SQL["sweep"], workers.SQL["sweep"])


class SQLiteKeys(Keys):
    """Keys and locks in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self._driver = driver

    def put(self, key: str, value: bytes, seconds: float) -> Step[None]:
        """Keep a value."""

        def put(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["put"], self._given(seconds, key=key, value=value))

        return self._driver.write(put)

    def add(self, key: str, value: bytes, seconds: float) -> Step[bytes | None]:
        """Keep a value where none is."""

        def add(connection: sqlite3.Connection) -> bytes | None:
            given = self._given(seconds, key=key, value=value)
            found = _value(connection, given)
            if found is None:
                connection.execute(SQL["put"], given)
            return found

        return self._driver.write(add)

    def swap(self, key: str, old: bytes, new: bytes, seconds: float) -> Step[bool]:
        """Replace what is as expected."""

        def swap(connection: sqlite3.Connection) -> bool:
            given = self._given(seconds, key=key, value=new, old=old)
            return connection.execute(SQL["swap"], given).rowcount == 1

        return self._driver.write(swap)

    def get(self, key: str) -> Step[bytes | None]:
        """Read a value."""
        return self._driver.read(lambda connection: _value(connection, self._given(0, key=key)))

    def delete(self, key: str) -> Step[None]:
        """Forget a value."""

        def delete(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["delete"], (key,))

        return self._driver.write(delete)

    def lock(self, name: str, owner: str, seconds: float) -> Step[bool]:
        """Take or prolong a lock."""

        def lock(connection: sqlite3.Connection) -> bool:
            return connection.execute(SQL["lock"], self._given(seconds, name=name, owner=owner)).rowcount == 1

        return self._driver.write(lock)

    def unlock(self, name: str, owner: str) -> Step[None]:
        """Give up one's own lock."""

        def unlock(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["unlock"], (name, owner))

        return self._driver.write(unlock)

    def sweep(self, limit: int = 10_000) -> Step[int]:
        """Delete what has outlived its time."""

        def sweep(connection: sqlite3.Connection) -> int:
            now = self._driver.clock()
            gone = sum(connection.execute(each, {"now": now, "limit": limit}).rowcount for each in _SWEEPS)
            gone += retention.sweep_feed(connection, limit, now)
            retention.shrink(connection)
            return gone

        return self._driver.write(sweep)

    def _given(self, seconds: float, **given: Any) -> dict[str, Any]:
        now = self._driver.clock()
        return {**given, "now": now, "until": now + seconds}


def _value(connection: sqlite3.Connection, given: dict[str, Any]) -> bytes | None:
    found = connection.execute(SQL["get"], given).fetchone()
    return None if found is None else found[0]
