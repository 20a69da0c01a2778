"""Who executes jobs: a thread beside the event loop, or the caller's own thread."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from queue import Empty, SimpleQueue

from penstock.core.undisturbed import undisturbed
from penstock.drivers.sqlite.transactions import Counters, Job, Transactor

#: jobs in one transaction: bounds what a failure repeats
GROUP = 500


class Lane(ABC):
    """A way for jobs to get to a transactor."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """How many jobs wait for the next transaction."""

    @abstractmethod
    async def run(self, job: Job) -> None:
        """Have the job done; jobs that wait meanwhile are gathered."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what waits, then close the connection."""


class ThreadLane(Lane):
    """Loop mode: a daemon thread executes what has gathered and hands the results over in one go."""

    def __init__(self, transactor: Transactor, counters: Counters, name: str) -> None:
        self._transactor = transactor
        self._counters = counters
        self._waiting: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait for the next transaction."""
        return self._waiting.qsize()

    async def run(self, job: Job) -> None:
        job.waiter = asyncio.get_running_loop().create_future()
        self._waiting.put(job)
        await job.waiter

    async def close(self) -> None:
        self._waiting.put(None)
        try:
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        except RuntimeError:  # the interpreter ends, and takes no more work for other threads
            self._thread.join()

    def _work(self) -> None:
        while jobs := self._gather():
            with self._transactor.gate:
                self._transactor.execute(jobs)
            self._hand_over(jobs)
        with self._transactor.gate:
            self._transactor.close()

    def _gather(self) -> list[Job]:
        """The jobs that wait, at least one; [] at the end."""
        jobs: list[Job] = []
        job = self._waiting.get()
        try:
            while job is not None and len(jobs) < GROUP:
                jobs.append(job)
                job = self._waiting.get_nowait()
        except Empty:
            return jobs
        self._waiting.put(job)  # the sentinel, again
        return jobs

    def _hand_over(self, jobs: Sequence[Job]) -> None:
        for loop, group in groupby(jobs, key=lambda job: job.waiter.get_loop()):
            self._counters.hand_overs += 1  # before its results can be seen
            with suppress(RuntimeError):  # that loop is closed: nobody waits
                loop.call_soon_threadsafe(_settle, list(group))


def _settle(jobs: Sequence[Job]) -> None:
    for job in jobs:
        if not job.waiter.done():
            job.waiter.set_result(None)


class CallerLane(Lane):
    """Blocking mode: whoever gets through the gate executes what has gathered there (flat combining)."""

    def __init__(self, transactor: Transactor) -> None:
        self._transactor = transactor
        self._waiting: deque[Job] = deque()

    @property
    def waiting(self) -> int:
        """How many jobs wait for the next transaction."""
        return len(self._waiting)

    async def run(self, job: Job) -> None:
        self._waiting.append(job)
        with undisturbed(), self._transactor.gate:
            if job.done:
                return
            jobs = [self._waiting.popleft() for _ in range(len(self._waiting))]
            try:
                self._transactor.execute(jobs)
            finally:  # an interrupt (Ctrl-C) ends this thread's wait, not that of the others
                self._waiting.extendleft([other for other in reversed(jobs) if not other.done and other is not job])

    async def close(self) -> None:
        with undisturbed(), self._transactor.gate:
            self._transactor.close()
