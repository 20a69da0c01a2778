"""Steps on connections of others: sqlite3, SQLAlchemy, Django.

Their commits wake nobody, so a thread waits for the commit and does it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Any

from penstock.core.errors import ConfigurationError
from penstock.core.step import Step
from penstock.drivers.sqlite.errors import translated
from penstock.drivers.sqlite.wake import Wakes

#: seconds between looks for the commit, and until when; then the sleepers have their safety net
_LOOK, _LAST = 0.002, 30.0


def enlist(steps: Sequence[Step[Any]], connection: Any, path: str, folder: str) -> None:
    """Run steps in the transaction that is open on `connection`; where none is, one is begun.

    Where the connection is in autocommit mode it is committed, too. Raises ConfigurationError for another file.
    """
    raw = _raw(connection)
    _same_file(raw, path)
    rows, texts = raw.row_factory, raw.text_factory
    raw.row_factory, raw.text_factory = None, str
    alone = raw.isolation_level is None and not raw.in_transaction
    try:
        if not raw.in_transaction:
            raw.execute("BEGIN IMMEDIATE")
        raw.execute("SAVEPOINT penstock")
        try:
            for step in steps:
                step.work(raw)
        except BaseException:  # what went before in the user's transaction stays
            raw.execute("ROLLBACK TO penstock")
            if alone:
                raw.execute("ROLLBACK")
            raise
        if alone:
            raw.execute("COMMIT")
        else:
            raw.execute("RELEASE penstock")
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        raw.row_factory, raw.text_factory = rows, texts
    waker = _wakers.setdefault(path, _Waker(path, folder))
    waker.expect({topic for step in steps for topic in step.wakes.split()})


def _raw(connection: Any) -> sqlite3.Connection:
    """The connection of the standard library's module that is behind another one."""
    found = connection
    family = type(connection).__module__.partition(".")[0]
    if family == "sqlalchemy":
        given = connection if hasattr(connection, "exec_driver_sql") else connection.connection()
        found = getattr(getattr(given, "connection", None), "driver_connection", None)
    elif hasattr(connection, "ensure_connection"):  # Django's
        connection.ensure_connection()
        found = connection.connection
    if not isinstance(found, sqlite3.Connection):
        raise ConfigurationError(
            f"{type(connection).__module__}.{type(connection).__name__} is no connection to SQLite; "
            "give one of sqlite3, SQLAlchemy or Django"
        )
    return found


def _same_file(raw: sqlite3.Connection, path: str) -> None:
    name = next((row[2] for row in raw.cursor().execute("PRAGMA database_list") if row[1] == "main"), "")
    if not name or not os.path.samefile(name, path):
        raise ConfigurationError(f"the connection is to {name or 'a database in memory'}, tasks are queued in {path}")


class _Waker:
    """Wakes sleepers after each commit to a file for a while; a wake-up too many costs a look.

    It looks at the write-ahead log's time and size only: a connection of its own would be open across forks.
    """

    def __init__(self, path: str, folder: str) -> None:
        self._log = f"{path}-wal"
        self._folder = folder
        self._lock = threading.Lock()
        self._topics: set[str] = set()
        self._end = 0.0
        self._pause = threading.Event()  # never set
        self._thread: threading.Thread | None = None

    def expect(self, topics: set[str]) -> None:
        """A transaction that these topics' sleepers wait for may be committed from now on."""
        with self._lock:
            self._topics = self._topics | topics
            self._end = time.monotonic() + _LAST
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="penstock-commit", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        wakes = Wakes(self._folder)
        seen: tuple[int, int] | None = None
        while not self._over():
            found = self._state()
            if found != seen:
                seen = found
                if wakes.listened():
                    wakes.send(self._topics)
            self._pause.wait(_LOOK)
        wakes.close()

    def _over(self) -> bool:
        with self._lock:
            if time.monotonic() < self._end:
                return False
            self._thread = None
            return True

    def _state(self) -> tuple[int, int]:
        try:
            found = os.stat(self._log)
        except FileNotFoundError:
            return 0, 0
        return found.st_mtime_ns, found.st_size


_wakers: dict[str, _Waker] = {}


def _renew() -> None:
    """In a forked child: threads and locks are the parent's."""
    _wakers.clear()


os.register_at_fork(after_in_child=_renew)
