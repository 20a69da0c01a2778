"""Handing back: messages return to their queues unrun, or cut short by the worker's end; nothing is charged for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from penstock.client.backends import Backends
from penstock.core.errors import LeaseLost
from penstock.core.step import Step, commit
from penstock.worker.floor import Floor
from penstock.worker.job import Job
from penstock.worker.patience import Patience
from penstock.worker.session import Session

log = logging.getLogger("penstock.worker.returns")


class Returns:
    """Hands back jobs of one floor, for after `delay` seconds. `lost` is told when the lease turns out to be dead."""

    def __init__(self, backends: Backends, floor: Floor, lost: Callable[[Session], None], delay: float = 0.0) -> None:
        self.delay = delay
        self.backends = backends
        self.floor = floor
        self.lost = lost

    async def hand_back(self, jobs: Sequence[Job]) -> None:
        """Give jobs back; done once it is written, or their lease is lost. Runs that were marked STARTED wait again."""
        for session in dict.fromkeys(job.session for job in jobs if job.session.alive):
            steps = self._steps([job for job in jobs if job.session is session], session)
            try:
                await Patience("handing back", log).run(partial(commit, *steps))
            except LeaseLost:
                self.lost(session)
        self.floor.leave(jobs)

    def _steps(self, jobs: Sequence[Job], session: Session) -> list[Step[Any]]:
        steps: list[Step[Any]] = []
        begun = {job.task_id: job.deliveries - 1 for job in jobs if job.marked}
        if begun:
            steps.append(self.backends.results.records.put_back(begun, session.lease))
        if parked := [job for job in jobs if job.parked]:
            steps.append(self.backends.broker.publish([job.delivery.message for job in parked]))
            steps.append(self.backends.results.records.confirm([job.task_id for job in parked]))
        return [*steps, session.consumer.hand_back([job.delivery for job in jobs if not job.parked], self.delay)]
