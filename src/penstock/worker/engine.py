"""A worker without its processes: from a consumer to the records, put together. Children run one; so may tests.

What happens around it (signals, leases, the death of processes) is told to it and asked of it through a few methods.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.message import Delivery
from penstock.worker.checks import Checks
from penstock.worker.chronicler import Chronicler
from penstock.worker.coroutines import Coroutines
from penstock.worker.enforce import Enforcer
from penstock.worker.executor import Executor
from penstock.worker.feed import Feeds
from penstock.worker.floor import Floor
from penstock.worker.intake import Intake
from penstock.worker.job import Job
from penstock.worker.limits import Limits
from penstock.worker.outcome import Judge
from penstock.worker.probation import Probation
from penstock.worker.progress import Progress
from penstock.worker.raw import ANEW, Raw, RawChecks, RawJudge, RawStarter
from penstock.worker.recorder import Recorder
from penstock.worker.returns import Returns
from penstock.worker.run import Runs
from penstock.worker.scribe import Scribe
from penstock.worker.session import Session
from penstock.worker.slots import Seat
from penstock.worker.start import Starter
from penstock.worker.threads import CallingThread, Threads
from penstock.worker.watch import Watch

log = logging.getLogger("penstock.worker.engine")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What an engine is made for."""

    app: Penstock
    backends: Backends
    worker: str  #: name, as it stands in records
    seat: Seat
    threads: int
    concurrency: int
    quota: int = 0  #: messages to take in all; 0: no limit
    raw: Raw | None = None  #: given: its program takes raw messages, and there are no tasks
    main: CallingThread | None = None  #: given for a process slot: this thread runs plain functions


class Engine:
    """Runs deliveries under one session at a time.

    Told on the loop: `lost`, a session's lease is dead; `stuck`, a job's code does not stop; `full`, the quota is used
    up; `broken`, a loop failed.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        lost: Callable[[Session], None],
        stuck: Callable[[Job], None],
        broken: Callable[[BaseException], None],
        full: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.setup = setup
        self.seat = setup.seat
        self.monotonic = monotonic
        self._lost = lost
        self._broken = broken
        self._full = full
        self._quota = setup.quota or math.inf
        self._tasks: list[asyncio.Task[None]] = []
        self._moved = asyncio.Event()  # something left the floor
        app, backends = setup.app, setup.backends
        self.judge, runs, self.starter, checks = self._parts(setup, clock)
        self.floor = Floor(
            Threads(setup.threads, runs.plain, self._ended, setup.main),
            Coroutines(setup.concurrency, runs.coroutine, self._ended),
            Coroutines(setup.threads, runs.coroutine, self._ended),
            Probation(app.settings.max_deliveries, monotonic),
        )
        self.scribe = Scribe(backends, app.settings.task_log)
        self.recorder = Recorder(
            backends, self.judge, self.scribe, settled=self._settled, lost=self.lose, writing=self._writing
        )
        self.chronicler = Chronicler(backends)
        self.returns = Returns(backends, self.floor, self.lose, ANEW if setup.raw else 0.0)
        self.enforcer = Enforcer(self.floor, self.judge, self.recorder, setup.seat, stuck)
        self.limits = Limits(self.enforcer.soft, self.enforcer.hard, monotonic)
        self.executor = Executor(
            self.floor,
            checks,
            starter=self.starter,
            limits=self.limits,
            recorder=self.recorder,
            monotonic=monotonic,
        )
        self.intake = Intake(self._room, self._take, self._fetched, self._busy)
        self.watch = Watch(
            self.floor, self.starter, self.returns, self._changed, monotonic, park_after=app.settings.park_after
        )
        self.progress = Progress(self._report)

    def _parts(self, setup: Setup, clock: Callable[[], float]) -> tuple[Judge, Runs, Starter, Checks]:
        """The steps of the pipe that differ between tasks, which have records, and raw messages, which have none."""
        app, backends, rng = setup.app, setup.backends, Random()  # noqa: S311 - it spreads retries
        around: dict[str, Any] = {"report": self._reported, "clock": clock, "monotonic": self.monotonic}
        judge: Judge
        if (raw := setup.raw) is not None:
            judge = RawJudge(raw, setup.worker, clock, rng)
            feeds = Feeds(app, setup.seat, setup.worker, raw=raw, **around)
            return (
                judge,
                feeds,
                RawStarter(raw, backends, setup.worker, clock, self.lose),
                RawChecks(raw, app, judge, clock),
            )
        judge = Judge(setup.worker, clock, rng)
        runs = Runs(app, setup.seat, setup.worker, **around)
        starter = Starter(backends, setup.worker, clock, self.lose)
        return judge, runs, starter, Checks(app, judge, clock, backends.results)

    def start(self) -> None:
        """Set the loops going; nothing is fetched before `begin`."""
        loop = asyncio.get_running_loop()
        loops = (self.executor.run(), self.executor.probe(), self.recorder.run(), self.intake.run())
        self._tasks = [loop.create_task(each) for each in loops]
        for task in self._tasks:
            task.add_done_callback(self._done)

    def begin(self, session: Session) -> None:
        """Fetch under this lease from now on."""
        self.intake.begin(session)

    def lose(self, session: Session) -> None:
        """The session's lease is dead: forget what was held under it; its running code goes on without effect."""
        if not session.alive:
            return
        session.alive = False
        log.warning("the lease was lost; %d deliveries are for other workers now", len(self.floor.held))
        self.floor.withdraw(math.inf, math.inf)
        lost = [job for job in self.floor.held if job.session is session]
        for job in lost:
            if not job.begun:
                self.floor.unreckon(job)
        self.floor.leave(lost)
        self._changed()
        self._lost(session)

    async def stop(self) -> None:
        """Fetch nothing more, and hand back what has not begun."""
        await self.intake.stop()
        await self._tasks[-1]
        await self.executor.idle()
        await self.returns.hand_back(self.floor.withdraw(math.inf, math.inf))

    async def finish(self) -> None:
        """Wait until nothing runs any more and every ending is recorded."""
        while self.floor.held:
            self._moved.clear()
            await self._moved.wait()

    async def abandon(self) -> None:
        """Hand back what still runs, uncharged; its code goes on, without effect, until the process ends."""
        jobs = [job for job in self.floor.held if not job.over and not job.judged]
        for job in jobs:
            job.judged = True
            log.info("handed back: its time to finish is over", extra=job.where)
        self.floor.coroutines.stop()
        self.floor.programs.stop()
        await self.returns.hand_back(jobs)

    async def close(self) -> None:
        """End the loops and the pools."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.floor.threads.stop()

    def look(self) -> None:
        """Now and then: the fetch loop may be wanted again, e.g. because the lease was renewed late."""
        self.intake.changed()

    def _room(self) -> int:
        valid = self.monotonic() < self.seat.counters().renewed + self.setup.app.settings.lease
        # claims under a lease that may be condemned would be for nothing
        if not valid:
            return 0
        most = self.setup.raw.prefetch if self.setup.raw is not None else 0
        prefetch = most - len(self.floor.held) if most else math.inf
        return int(max(0, min(self.floor.room(), self._quota, prefetch)))

    def _take(self, deliveries: Sequence[Delivery], session: Session) -> None:
        self._quota -= len(deliveries)
        self.executor.take(deliveries, session)
        self.watch.arm()
        if self._quota <= 0 and self.setup.raw is None:
            self._full()

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broken(error)

    def _fetched(self) -> None:
        self.seat.fetched(self.monotonic())

    def _ended(self, jobs: Sequence[Job]) -> None:
        self.executor.ended(jobs)
        self.seat.processed(self.executor.processed)
        self.intake.changed()

    def _settled(self, jobs: Sequence[Job]) -> None:
        self.chronicler.count(jobs)
        self.floor.leave(jobs)
        self._changed()
        if self.setup.raw is not None:  # what counts are runs, and those that are over
            self._quota += sum(not job.begun for job in jobs)
            if self._quota <= 0 and not self.floor.held:
                self._full()

    def _busy(self) -> bool:
        """A fetch had better wait for the next write, whose transaction it can share."""
        return self.setup.backends.shared and (self.recorder.waiting or self.floor.quick())

    def _writing(self) -> None:
        self.intake.join()

    def _changed(self) -> None:
        self._moved.set()
        self.executor.turn()
        self.intake.changed()

    def _reported(self, job: Job, progress: bytes) -> None:
        self.progress.report(job, progress)

    async def _report(self, latest: dict[Job, bytes]) -> None:
        await self.starter.note(list(latest), {job.task_id: progress for job, progress in latest.items()})
