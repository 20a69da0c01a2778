"""The database file: checks its place, opens connections with our settings, keeps its schema. Knows no queues."""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.core.errors import StorageError, Unavailable
from penstock.drivers.sqlite.errors import primary, translated
from penstock.drivers.sqlite.lock import FileLock
from penstock.drivers.sqlite.place import mount_table, refuse_network

#: beyond this size (bytes) the WAL is checkpointed and cut, even if readers have to be waited for
WAL_LIMIT = 64 * 1024 * 1024
#: SQLite polls for this long (seconds) before it reports a lock; we try again until the caller's patience ends
_POLL = 1.0

_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_SETTINGS = (
    "PRAGMA synchronous = FULL",
    f"PRAGMA journal_size_limit = {WAL_LIMIT}",
    "PRAGMA wal_autocheckpoint = 2000",
    "PRAGMA temp_store = MEMORY",
)
_SCHEMA = "CREATE TABLE IF NOT EXISTS penstock_schema (part TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID"


@dataclass(frozen=True, slots=True)
class Part:
    """The tables of one part (a broker, a result backend). `statements` may be run again without harm."""

    name: str
    statements: Sequence[str]
    version: int


class File:
    """One database file as this process opens it."""

    def __init__(self, path: str, patience: float) -> None:
        self.path = os.path.realpath(path)  # one name for the lock and the listeners, whatever links lead here
        self.patience = patience
        self.lock = FileLock(f"{self.path}-lock")
        self.wakes = f"{self.path}-wake"
        self.preparing = threading.Lock()
        self._parts: dict[str, Part] = {}
        self._prepared = False
        self._identity: tuple[int, int] | None = None  # device and inode of the file that was prepared

    def require(self, part: Part) -> None:
        """Have the tables of a part made before the next use."""
        self._parts[part.name] = part
        self._prepared = False

    def prepare(self) -> None:
        """Check the place and make what is missing: file, folder of listeners, tables. Cheap when all is there.

        Raises StorageError where the file cannot be used, Unavailable where it cannot be used now.
        """
        with self.preparing:
            if self._prepared:
                return
            directory = os.path.dirname(self.path)
            if not os.path.isdir(directory):
                raise StorageError(f"{self.path}: there is no directory {directory}; make it first")
            refuse_network(self.path, mount_table)
            try:
                self._fill()
            except (sqlite3.Error, OSError) as error:
                raise translated(error, self.path) from error
            self._identity = _identity(self.path)
            self._prepared = True

    def connect(self, *, writes: bool) -> sqlite3.Connection:
        """A new connection in autocommit mode; transactions are begun and ended in so many words."""
        connection = sqlite3.connect(
            self.path,
            timeout=min(_POLL, self.patience),
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        for setting in _SETTINGS:
            connection.execute(setting)
        connection.execute("PRAGMA cache_size = -8192" if writes else "PRAGMA query_only = ON")  # KiB
        return connection

    def check(self) -> None:
        """Raise StorageError if the prepared file has lost its name: what is written to a deleted one would be lost."""
        if self._prepared and self._identity != _identity(self.path):
            raise StorageError(
                f"{self.path} was deleted or replaced while it was in use; put it back, or restart this process"
            )

    def wal_size(self) -> int:
        """Bytes in the write-ahead log."""
        try:
            return os.stat(f"{self.path}-wal").st_size
        except FileNotFoundError:
            return 0

    def _fill(self) -> None:
        os.makedirs(self.wakes, exist_ok=True)
        if not os.access(self.wakes, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "no right to write", self.wakes)
        if os.path.exists(self.path):
            if not os.access(self.path, os.W_OK) or not os.access(os.path.dirname(self.path), os.W_OK):
                raise PermissionError(errno.EACCES, "no right to write", self.path)
            if self._complete():
                return
        lock = FileLock(self.lock.path)  # one of its own: the other is the writer's, who may be at work
        if not lock.take() and not lock.wait(self.patience):
            raise stuck(self.path)
        try:
            self._create()
        finally:
            lock.release()
            lock.close()

    def _complete(self) -> bool:
        connection = self.connect(writes=True)
        try:
            if _pragma(connection, "journal_mode") != "wal":
                return False
            versions = _versions(connection)
            return all(self._known(part, versions) for part in self._parts.values())
        finally:
            connection.close()

    def _known(self, part: Part, versions: dict[str, int]) -> bool:
        found = versions.get(part.name, 0)
        if found > part.version:
            raise StorageError(
                f"{self.path} was written by a newer Penstock (version {found} of {part.name}, "
                f"known here: {part.version}); upgrade Penstock, or name another file"
            )
        return found == part.version

    def _create(self) -> None:
        connection = self.connect(writes=True)
        try:
            # before the first table: retention gives pages back in portions, a full VACUUM would stop everybody
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._switch(connection)
            patiently(connection, "BEGIN IMMEDIATE", self.patience)
            connection.execute(_SCHEMA)
            versions = _versions(connection)
            for part in self._parts.values():
                if not self._known(part, versions):
                    _make(connection, part)
            connection.execute("COMMIT")
        finally:
            connection.close()

    def _switch(self, connection: sqlite3.Connection) -> None:
        """To WAL, for good. SQLite does not wait for locks here, so we do."""
        mode = patiently(connection, "PRAGMA journal_mode = WAL", self.patience).fetchone()[0]
        if mode != "wal":
            raise StorageError(f"{self.path}: this file system has no shared memory for SQLite; put it on a local disk")


def stuck(path: str) -> Unavailable:
    """The error for a lock of our own that does not come."""
    return Unavailable(f"{path} is locked by another process of Penstock that does not go on; look at it", unsent=True)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _make(connection: sqlite3.Connection, part: Part) -> None:
    for statement in part.statements:
        connection.execute(statement)
    connection.execute("REPLACE INTO penstock_schema VALUES (?, ?)", (part.name, part.version))


def _pragma(connection: sqlite3.Connection, text: str) -> str:
    return str(connection.execute(f"PRAGMA {text}").fetchone()[0])


def _versions(connection: sqlite3.Connection) -> dict[str, int]:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'penstock_schema'").fetchone()
    return dict(connection.execute("SELECT part, version FROM penstock_schema")) if found else {}


def patiently(connection: sqlite3.Connection, statement: str, patience: float) -> sqlite3.Cursor:
    """Execute a statement; again and again for `patience` seconds while a stranger, not in our line, has the lock."""
    end = 0.0
    while True:
        try:
            return connection.execute(statement)
        except sqlite3.OperationalError as error:
            end = end or time.monotonic() + patience
            if primary(error) not in _LOCKED or time.monotonic() > end:
                raise
            time.sleep(0.01)
