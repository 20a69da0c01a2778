"""The step "start": marking runs STARTED in their records, one write for all that are due."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from penstock.client.backends import Backends
from penstock.core.errors import LeaseLost
from penstock.core.record import Start
from penstock.core.step import Step, commit
from penstock.worker.job import Job
from penstock.worker.patience import OUTAGES, Patience
from penstock.worker.session import Session

log = logging.getLogger("penstock.worker.start")


class Starter:
    """Marks runs. `lost` is told when the lease turns out to be dead."""

    def __init__(
        self, backends: Backends, worker: str, clock: Callable[[], float], lost: Callable[[Session], None]
    ) -> None:
        self.records = backends.results.records
        self.worker = worker
        self.clock = clock
        self.lost = lost

    async def allow(self, jobs: Sequence[Job], *, charge: bool) -> list[Job]:
        """Mark jobs before they run; wait until it is written. Returns those that may run.

        Not those that were cancelled or ended meanwhile; none if the lease is lost.
        """
        if not jobs:
            return []
        session, step = jobs[0].session, self._step(jobs, charge)
        try:
            [allowed] = await Patience("marking tasks as started", log).run(partial(commit, step))
        except LeaseLost:
            self.lost(session)
            return []
        for job in jobs:
            job.marked = True
        return [job for job, yes in zip(jobs, allowed, strict=True) if yes]

    async def note(self, jobs: Sequence[Job], progress: Mapping[str, bytes] | None = None) -> None:
        """Mark jobs that run already, and store what they reported. One try: there will be another occasion.

        Not those that have come to their end: marked after a retry is recorded, the task would seem to run for ever.
        """
        jobs = [job for job in jobs if not (job.over or job.judged or job.left)]
        running = {job.task_id for job in jobs}
        progress = {task_id: report for task_id, report in (progress or {}).items() if task_id in running}
        session = next((job.session for job in jobs if job.session.alive), None)
        if session is None:
            return
        fresh = [job for job in jobs if not job.marked and job.session is session]
        steps: list[Step[Any]] = [self._step(fresh, charge=False)] if fresh else []
        if progress:
            steps.append(self.records.progress(progress, session.lease))
        try:
            await commit(*steps)
        except LeaseLost:
            self.lost(session)
        except OUTAGES as outage:
            log.debug("not marked as started yet: %s", outage)
        else:
            for job in fresh:
                job.marked = True

    async def park(self, jobs: Sequence[Job]) -> None:
        """Settle the messages of runs that the server will not leave us; their records stand for them from now on.

        One try: there will be another occasion.
        """
        session = next((job.session for job in jobs if job.session.alive), None)
        if session is None:
            return
        mine = [job for job in jobs if job.session is session]
        try:
            [parked] = await commit(self.records.park([job.task_id for job in mine], session.lease))
            done = [job for job, yes in zip(mine, parked, strict=True) if yes and not job.left]
            await session.consumer.settle([job.delivery for job in done])
        except LeaseLost:
            self.lost(session)
        except OUTAGES as outage:
            log.debug("not parked yet: %s", outage)
        else:
            for job in done:
                job.parked = True
                log.debug("parked: its record stands for its message now", extra=job.where)

    def _step(self, jobs: Sequence[Job], charge: bool) -> Step[list[bool]]:
        now = self.clock()
        return self.records.start(
            [
                Start(
                    delivery=job.delivery,
                    worker=self.worker,
                    pid=os.getpid(),
                    started_at=job.started_at or now,
                    deliveries=job.deliveries if charge else job.deliveries - 1,
                )
                for job in jobs
            ],
            jobs[0].session.lease,
        )
