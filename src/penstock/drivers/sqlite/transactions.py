"""Transactions: many callers' steps in one, each standing or falling by itself. Touches connections, not threads."""

from __future__ import annotations

import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from penstock.core.step import Step
from penstock.drivers.sqlite.errors import translated
from penstock.drivers.sqlite.file import WAL_LIMIT, File, patiently, stuck
from penstock.drivers.sqlite.haste import haste
from penstock.drivers.sqlite.wake import Wakes

#: how often (in transactions) the size of the WAL is looked at, and how long (ms) readers are waited for to cut it
_LOOK_EVERY = 64
_CUT_WAIT = 250


@dataclass(slots=True)
class Counters:
    """What the driver did since it was made. Statements are counted only after `SQLite.count_statements()`."""

    transactions: int = 0  #: write transactions committed
    reads: int = 0  #: read transactions
    statements: int = 0
    wakes: int = 0  #: bytes put into listeners' FIFOs
    hand_overs: int = 0  #: wake-ups of an event loop with results
    cuts: int = 0  #: tries to cut a write-ahead log that had grown too long


class Job:
    """One call of `run`: its steps, then their results or the error."""

    __slots__ = ("done", "error", "results", "steps", "waiter")

    def __init__(self, steps: Sequence[Step[Any]], waiter: Any = None) -> None:
        self.steps = steps
        self.waiter = waiter  #: the future of the caller in loop mode
        self.results: list[Any] = []
        self.error: Exception | None = None
        self.done = False

    def fail(self, error: Exception) -> None:
        self.error = error
        self.done = True


class Transactor(ABC):
    """One connection and who may use it: `gate` is held around `execute`, and around a fork."""

    def __init__(self, file: File, counters: Counters) -> None:
        self.gate = threading.Lock()
        self.counting = False
        self._file = file
        self._counters = counters
        self._connection: sqlite3.Connection | None = None

    @abstractmethod
    def execute(self, jobs: Sequence[Job]) -> None:
        """Run every job; each is done afterwards, with results or with its error."""

    @property
    def connected(self) -> bool:
        return self._connection is not None

    def close(self) -> None:
        """Close the connection. The next job opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _current(self, *, writes: bool) -> sqlite3.Connection:
        self._file.check()
        return self._connection or self._open(writes=writes)

    def _open(self, *, writes: bool) -> sqlite3.Connection:
        self._file.prepare()
        connection = self._connection = self._file.connect(writes=writes)
        if self.counting:
            connection.set_trace_callback(self._count)
        return connection

    def _count(self, _statement: str) -> None:
        self._counters.statements += 1

    def _translated(self, error: Exception) -> Exception:
        return translated(error, self._file.path)


class Writer(Transactor):
    """Group commit: all jobs in one transaction; if one fails, each in its own, so that only the guilty one fails."""

    def __init__(self, file: File, counters: Counters, wakes: Wakes) -> None:
        super().__init__(file, counters)
        self._wakes = wakes
        self._cut_at = WAL_LIMIT

    def execute(self, jobs: Sequence[Job]) -> None:
        with haste():
            self._execute(jobs)

    def _execute(self, jobs: Sequence[Job]) -> None:
        try:
            connection = self._begin()
        except Exception as error:  # whatever keeps the transaction from beginning is the answer to every job
            for job in jobs:
                job.fail(self._translated(error))
            return
        try:
            self._commit(connection, jobs)
        except Exception as error:  # steps may raise anything
            if len(jobs) == 1:
                jobs[0].fail(self._translated(error))
                return
            for job in jobs:
                self._execute((job,))
            return
        if self._wakes.listened():
            topics = {topic for job in jobs for step in job.steps for topic in step.wakes.split()}
            self._counters.wakes += self._wakes.send(topics)

    def _begin(self) -> sqlite3.Connection:
        connection = self._current(writes=True)
        patience = self._file.patience
        if not self._file.lock.take():
            start = time.monotonic()
            if not self._file.lock.wait(patience):
                raise stuck(self._file.path)
            patience -= time.monotonic() - start
        try:
            patiently(connection, "BEGIN IMMEDIATE", patience)
        except BaseException:  # the turn must be given up whatever happened, or nobody writes again
            self._file.lock.release()
            raise
        return connection

    def _commit(self, connection: sqlite3.Connection, jobs: Sequence[Job]) -> None:
        try:
            for job in jobs:
                job.results = [step.work(connection) for step in job.steps]
            connection.execute("COMMIT")
            self._counters.transactions += 1
            if self._counters.transactions % _LOOK_EVERY == 0:
                self._bound(connection)
        except BaseException:  # steps may raise anything, and a transaction must not stay open
            self._undo(connection)
            raise
        finally:
            self._file.lock.release()
        for job in jobs:
            job.done = True

    def _undo(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:  # SQLite itself has rolled back after some errors
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            self.close()  # rolls back, too

    def _bound(self, connection: sqlite3.Connection) -> None:
        """Cut the WAL when readers have kept SQLite's own checkpoints from starting it anew.

        Writers wait meanwhile, so after a try that a long reader made vain the next one comes when it has grown again.
        """
        size = self._file.wal_size()
        if size <= self._cut_at:
            return
        self._counters.cuts += 1
        (timeout,) = connection.execute("PRAGMA busy_timeout").fetchone()
        connection.execute(f"PRAGMA busy_timeout = {_CUT_WAIT}")
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.execute(f"PRAGMA busy_timeout = {timeout}")
        self._cut_at = size + WAL_LIMIT // 4 if busy else WAL_LIMIT


class Reader(Transactor):
    """Reads, each job in a snapshot of its own, never in the way of writers."""

    def execute(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            try:
                job.results = self._read(job)
                job.done = True
            except Exception as error:  # steps may raise anything
                job.fail(self._translated(error))

    def _read(self, job: Job) -> list[Any]:
        connection = self._current(writes=False)
        connection.execute("BEGIN")
        try:
            return [step.work(connection) for step in job.steps]
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._counters.reads += 1
