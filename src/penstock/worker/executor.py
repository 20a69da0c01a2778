"""The pipe that every delivery runs down: decode ▸ find task ▸ check ▸ start ▸ run ▸ decide ▸ record ▸ settle.

Batches go through the first steps together, with one look at their records; the pools run the jobs; what came of them
is decided here and written by the recorder. Knows nothing of processes, sockets or signals.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence

from penstock.core.errors import Ignore
from penstock.core.message import Delivery, Standing
from penstock.worker.checks import Checks
from penstock.worker.coroutines import Coroutines
from penstock.worker.floor import Floor
from penstock.worker.job import Job
from penstock.worker.limits import Limits
from penstock.worker.recorder import Recorder
from penstock.worker.session import Session
from penstock.worker.start import Starter
from penstock.worker.threads import Threads

log = logging.getLogger("penstock.worker.executor")

_LONGEST = 1000  # characters of an error in a line of the log


class Executor:
    """Takes deliveries to the pools, and what came out of them to the recorder."""

    def __init__(
        self,
        floor: Floor,
        checks: Checks,
        *,
        starter: Starter,
        limits: Limits,
        recorder: Recorder,
        monotonic: Callable[[], float],
    ) -> None:
        self.floor = floor
        self.checks = checks
        self.starter = starter
        self.limits = limits
        self.recorder = recorder
        self.monotonic = monotonic
        self.processed = 0  #: runs that came back
        self._taken: list[Job] = []
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._turn = asyncio.Event()  # the next suspect may be able to begin

    def take(self, deliveries: Sequence[Delivery], session: Session) -> None:
        """Deliveries have come: decode them and find their tasks; the rest follows by itself."""
        now = self.monotonic()
        jobs = [Job(delivery, session, now) for delivery in deliveries]
        self.floor.enter(jobs)
        decided: list[Job] = []
        good: list[Job] = []
        for job in jobs:
            done = self.checks.readable(job) or self.floor.duplicate(job)
            (decided if done else good).append(job)
        self.recorder.add(decided)
        self.floor.reckon(good)
        self._taken += good
        self._some.set()
        self._idle.clear()

    async def run(self) -> None:
        """Admit what was taken, batch by batch, until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            while taken := self._taken:
                self._taken = []
                await self._admit([job for job in taken if job.session.alive])
            self._idle.set()

    async def idle(self) -> None:
        """Wait until all that was taken has come to a pool, the suspects' line or the recorder."""
        await self._idle.wait()

    async def probe(self) -> None:
        """Let suspects begin, one after the other, until cancelled."""
        while True:
            await self._turn.wait()
            self._turn.clear()
            while (job := self.floor.probation.next(self.floor.free)) is not None:
                if await self.starter.allow([job], charge=True):
                    self._submit([job])
                else:
                    self.floor.probation.dismiss(job)
                    await self._refused([job])

    def turn(self) -> None:
        """Something changed that a waiting suspect may have waited for."""
        if self.floor.probation.waiting:
            self._turn.set()

    def ended(self, jobs: Sequence[Job]) -> None:
        """Code has come back from a pool: decide."""
        decided = []
        for job in jobs:
            job.over = True
            self.limits.forget(job)
            self.floor.unreckon(job)
            if job.judged or not job.session.alive:
                continue
            if job.revoked and not job.begun:  # at the last moment
                self._revoke(job)
                continue
            self.checks.judge.outcome(job)
            decided.append(job)
            _tell(job)
            job.error = None  # its traceback holds frames that hold this job: a cycle for every failure
        self.processed += len(jobs)
        self.recorder.add(decided)
        self.turn()

    async def _admit(self, jobs: list[Job]) -> None:
        """Compare with the records; run what may run."""
        if not jobs:
            return
        try:
            standings = await self._standings([job.task_id for job in jobs if job.standing is None])
            seen = await self.checks.seen(jobs)
            await self.checks.met(jobs, standings)
        except Exception as error:  # an id that the back end cannot take must not hold up all the others
            await self._isolate(jobs, error)
            return
        ready = []
        for job in jobs:
            standing, job.standing = job.standing or standings.get(job.task_id), None  # who comes again is looked up
            if self.checks.runnable(job, standing, seen):
                self.floor.unreckon(job)
                self.recorder.add([job])
            else:
                ready.append(job)
        await self._start(ready)

    async def _standings(self, ids: Sequence[str]) -> Mapping[str, Standing]:
        return await self.checks.standings(ids) if ids else {}

    async def _isolate(self, jobs: list[Job], error: Exception) -> None:
        """Check the jobs one by one; the guilty one is a dead letter."""
        if len(jobs) > 1:
            for job in jobs:
                await self._admit([job])
            return
        [job] = jobs
        log.error("its record cannot be checked: %r", error, extra=job.where)
        self.floor.unreckon(job)
        self.checks.judge.bury(job, "unrecordable", error)
        self.recorder.add(jobs)

    async def _start(self, jobs: Sequence[Job]) -> None:
        """To the pools: suspects one by one, those that want to be seen once they are marked, all others at once."""
        plain, tracked = [], []
        for job in jobs:
            if self.checks.suspicious(job):
                self.floor.probation.add([job])
            elif job.task.options.track_started:
                tracked.append(job)
            else:
                plain.append(job)
        self._submit(plain)
        self.turn()
        if tracked:
            allowed = await self.starter.allow(tracked, charge=False)
            self._submit(allowed)
            await self._refused([job for job in tracked if job not in allowed])

    async def _refused(self, jobs: Sequence[Job]) -> None:
        """These must not begin after all: look at their records once more to learn how to end them."""
        again = []
        for job in jobs:
            if not job.refused and job.session.alive:
                job.refused = True
                again.append(job)
            else:  # the record has moved on in some way that is none of this message's business
                self.floor.unreckon(job)
                self.recorder.add([job])
        await self._admit(again)

    def _submit(self, jobs: Sequence[Job]) -> None:
        floor = self.floor
        groups: dict[Threads | Coroutines, list[Job]] = {}
        for job in jobs:
            if job.revoked:  # while it was being marked
                self._revoke(job)
            elif job.session.alive:
                groups.setdefault(floor.runner(job), []).append(job)
                self.limits.watch(job)
        for pool, group in groups.items():
            pool.submit(group)

    def _revoke(self, job: Job) -> None:
        self.floor.unreckon(job)
        self.checks.judge.revoke(job, job.revoked)
        self.recorder.add([job])


def _tell(job: Job) -> None:
    """A line in the log for a run; for one that went well only where everything is logged."""
    if job.error is None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s: SUCCESS", job.request.task, extra=job.where)
        return
    again = "again" if job.again and job.again.queue == job.delivery.message.queue else "dead letter"
    state = job.ending.state if job.ending else again if job.again or job.letter else "handed back"
    level = logging.INFO if isinstance(job.error, Ignore) else logging.WARNING
    what = traceback.format_exception_only(job.error)[-1].strip()[:_LONGEST]  # whatever its __str__ does
    log.log(level, "%s: %s (%s)", job.request.task, state, what, extra=job.where)
