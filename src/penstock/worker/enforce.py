"""Ending jobs from outside: time limits and cancellation. Cooperative first, then by force (DESIGN §6.3).

The ending is recorded at once; the code is interrupted, and if it does not come back within a second its child is given
up: `stuck` is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from penstock.core.errors import SoftTimeLimitExceeded, TimeLimitExceeded
from penstock.worker.floor import Floor
from penstock.worker.job import Job, Terminated
from penstock.worker.outcome import Judge
from penstock.worker.recorder import Recorder
from penstock.worker.slots import Seat

log = logging.getLogger("penstock.worker.enforce")

YIELD = 1.0  #: seconds that interrupted code has to come back


class Enforcer:
    """Interrupts the jobs on one floor."""

    def __init__(
        self, floor: Floor, judge: Judge, recorder: Recorder, seat: Seat, stuck: Callable[[Job], None]
    ) -> None:
        self.floor = floor
        self.judge = judge
        self.recorder = recorder
        self.seat = seat
        self.stuck = stuck

    def soft(self, job: Job) -> None:
        """Its soft limit has passed: it is told, and may clean up."""
        log.info("%s: soft time limit of %g s", job.request.task, job.soft, extra=job.where)
        if job.runner is not None:
            job.runner.interrupt(job, SoftTimeLimitExceeded)

    def hard(self, job: Job) -> None:
        """Its hard limit has passed: FAILURE."""
        log.warning("%s: hard time limit of %g s", job.request.task, job.hard, extra=job.where)
        self.judge.fail(job, TimeLimitExceeded(job.hard))
        self._stop(job)

    def cancel(self, task_id: str, terminate: bool) -> str:
        """Cancel a task: "revoked" (it never starts), "terminated", "running" (left alone), or "" if it is not here."""
        job = self.floor.find(task_id)
        if job is None or job.over or job.judged:
            return ""
        if not job.begun:
            self._revoke(job)
            return "revoked"
        if not terminate:
            return "running"
        log.info("%s: terminated", job.request.task, extra=job.where)
        self.judge.revoke(job, "terminated")
        self._stop(job)
        return "terminated"

    def _revoke(self, job: Job) -> None:
        job.revoked = "revoked"  # whoever checks it on its way to a pool sees this
        if self.floor.remove(job):
            self.judge.revoke(job, job.revoked)
            self.recorder.add([job])

    def _stop(self, job: Job) -> None:
        """Record what was decided, interrupt the code, and see whether that helped."""
        job.judged = True
        if job.slot >= 0:
            self.seat.judge(job.slot)
        self.recorder.add([job])
        if job.runner is not None:
            job.runner.interrupt(job, Terminated)
        if not job.kind.is_program:  # one that is killed holds nothing here, however long the kernel takes
            asyncio.get_running_loop().call_later(YIELD, self._still, job)

    def _still(self, job: Job) -> None:
        if not job.over:
            self.stuck(job)
