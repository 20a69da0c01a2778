"""SQLite as brokers and result backends see it: steps, `run` and `listen`, in two modes, safe across forks."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from penstock.core.checkup import Finding
from penstock.core.errors import StorageError, Unavailable
from penstock.core.message import Standing
from penstock.core.step import Driver, Step
from penstock.drivers.sqlite.checkup import durability, surroundings
from penstock.drivers.sqlite.enlist import enlist
from penstock.drivers.sqlite.errors import translated
from penstock.drivers.sqlite.file import File, Part
from penstock.drivers.sqlite.lanes import CallerLane, Lane, ThreadLane
from penstock.drivers.sqlite.transactions import Counters, Job, Reader, Transactor, Writer
from penstock.drivers.sqlite.wake import Fifo, Wakes

T = TypeVar("T")

#: seconds to wait while another program has the file locked
PATIENCE = 60.0


class Read(Step[T]):
    """A step that only reads, and so runs beside the writers; its class is the mark."""

    __slots__ = ()


class SQLite(Driver):
    """One database file, used from event loops, or from threads that may block (`blocking`: `await` never suspends).

    The connections are opened by their first use.
    """

    composes = True

    def __init__(
        self,
        path: str,
        *,
        blocking: bool = False,
        clock: Callable[[], float] = time.time,
        patience: float = PATIENCE,
    ) -> None:
        self.blocking = blocking
        self.clock = clock
        self.counters = Counters()
        #: what the records in this file add to a claim: how the tasks stand that it brings, in its order; so a worker
        #: need not ask for that in a transaction of its own
        self.look: Callable[[sqlite3.Connection, Sequence[str]], Sequence[Standing]] | None = None
        self._file = File(path, patience)
        self._wakes = Wakes(self._file.wakes)
        self._watches: weakref.WeakSet[Fifo] = weakref.WeakSet()
        self._closed = False
        self._inherited: list[Transactor] = []  # connections from before a fork that we were not told of; never touched
        self._assemble()
        _drivers.add(self)

    @property
    def path(self) -> str:
        """The file's absolute path."""
        return self._file.path

    @property
    def waiting(self) -> int:
        """How many calls wait for the next write transaction."""
        lane = self._lanes.get(False)
        return lane.waiting if lane else 0

    def require(self, name: str, statements: Sequence[str], version: int = 1) -> None:
        """Have a part's tables made at the next open; `statements` are idempotent DDL."""
        self._file.require(Part(name, tuple(statements), version))

    def write(self, fn: Callable[[sqlite3.Connection], T], wakes: str = "") -> Step[T]:
        """A step that runs `fn` in a write transaction, then wakes the listeners of `wakes` (topics parted by blanks).

        `fn` may be run more than once, and must have no effect but through its connection.
        """
        return Step(self, fn, wakes)

    def read(self, fn: Callable[[sqlite3.Connection], T]) -> Step[T]:
        """A step that runs `fn` on a snapshot, outside the queue of writers."""
        return Read(self, fn)

    def listen(self, topic: str) -> Fifo:
        """A watch that wakes after a commit of steps with this topic, in any process."""
        self._file.prepare()
        try:
            watch = Fifo(self._file.wakes, topic, self._version, self.blocking)
        except OSError as error:
            raise translated(error, self.path) from error
        self._watches.add(watch)
        return watch

    def count_statements(self) -> None:
        """Count statements from now on (connections already open are reopened)."""
        for transactor in self._transactors:
            with transactor.gate:
                transactor.counting = True
                transactor.close()

    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """Run `steps` in order in one transaction; see core.step.Driver."""
        if self._closed:
            raise Unavailable(f"{self.path} was closed by this program")
        if self._inherited:
            raise StorageError(
                f"{self.path} was open when this process was forked without Python's knowledge; "
                "load the application in the forked processes (uWSGI: lazy-apps = true)"
            )
        reads = not any(type(step) is not Read for step in steps)
        job = Job(steps)
        lane = self._lanes.get(reads) or self._lane(reads)
        await lane.run(job)
        if job.error is not None:
            raise job.error
        return job.results

    def enlist(self, steps: Sequence[Step[Any]], connection: Any) -> None:
        """Run steps in the transaction that is open on `connection`; see core.step.Driver."""
        enlist(steps, connection, self.path, self._file.wakes)

    async def open(self) -> None:
        """Check and prepare the file. Raises StorageError or Unavailable."""
        self._closed = False
        await self.run((self.read(lambda _connection: self._file.prepare()),))

    async def examine(self) -> list[Finding]:
        return [await self.write(durability), *surroundings(self.path)]

    async def close(self) -> None:
        """Finish what waits, then close connections and listeners."""
        self._closed = True
        while self._lanes:
            _, lane = self._lanes.popitem()
            await lane.close()
        for watch in list(self._watches):
            await watch.close()
        self._wakes.close()
        self._file.lock.close()

    def hold(self) -> None:
        """Before a fork: let transactions end and close the connections.

        A child must not inherit SQLite's state: https://www.sqlite.org/howtocorrupt.html, 2.6.
        """
        for transactor in self._transactors:
            transactor.gate.acquire()
            transactor.close()
        self._file.preparing.acquire()  # last: whoever opens a connection has its gate first, then this

    def resume(self) -> None:
        """After a fork, in the parent: go on, with new connections."""
        self._file.preparing.release()
        for transactor in self._transactors:
            transactor.gate.release()

    def renew(self) -> None:
        """After a fork, in the child: start afresh. Threads, locks and listeners are the parent's."""
        self._inherited += [transactor for transactor in self._transactors if transactor.connected]
        for watch in list(self._watches):
            watch.forget()
        self._file.lock.forget()
        self._file.preparing = threading.Lock()
        self._wakes.close()
        self._assemble()

    def _assemble(self) -> None:
        self._writer = Writer(self._file, self.counters, self._wakes)
        self._reader = Reader(self._file, self.counters)
        self._transactors: tuple[Transactor, ...] = (self._writer, self._reader)
        self._lanes: dict[bool, Lane] = {}
        self._making = threading.Lock()

    def _lane(self, reads: bool) -> Lane:
        with self._making:
            return self._lanes.get(reads) or self._lanes.setdefault(reads, self._make(reads))

    def _make(self, reads: bool) -> Lane:
        transactor = self._reader if reads else self._writer
        if self.blocking:
            return CallerLane(transactor)
        return ThreadLane(transactor, self.counters, f"penstock-sqlite-{'reader' if reads else 'writer'}")

    async def _version(self) -> int:
        [version] = await self.run((self.read(_data_version),))
        return int(version)


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


_drivers: weakref.WeakSet[SQLite] = weakref.WeakSet()
_held: list[SQLite] = []
_forking = threading.Lock()


def _before_fork() -> None:
    _forking.acquire()
    _held[:] = _drivers
    for driver in _held:
        driver.hold()


def _after_in_parent() -> None:
    for driver in _held:
        driver.resume()
    _held.clear()
    _forking.release()


def _after_in_child() -> None:
    for driver in list(_drivers):
        driver.renew()
    _held.clear()
    if _forking.locked():  # not so where a server forked without telling us first
        _forking.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
