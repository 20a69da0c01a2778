"""Time limits: one timer for all running jobs that have one. Tells which job passed its soft or hard limit.

A job's time counts from when its code began, on whatever thread; the timer looks that up when it goes off. Limits of
jobs that hold the GIL are enforced from outside, by the keeper, through the slots.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from penstock.worker.job import Job


class Limits:
    """Watches the jobs of one child."""

    def __init__(
        self, soft: Callable[[Job], None], hard: Callable[[Job], None], monotonic: Callable[[], float]
    ) -> None:
        self.soft = soft
        self.hard = hard
        self.monotonic = monotonic
        self._jobs: set[Job] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._set_for = math.inf

    def watch(self, job: Job) -> None:
        """The job is about to be run."""
        first = min(job.soft, job.hard)
        if first < math.inf:
            self._jobs.add(job)
            self._wake(self.monotonic() + first)

    def forget(self, job: Job) -> None:
        """Its code has come back."""
        self._jobs.discard(job)

    def check(self) -> None:
        """Look at all jobs; set the timer for the next limit."""
        self._set_for = math.inf
        now = self.monotonic()
        for job in list(self._jobs):
            due = self._look(job, now)
            if due < math.inf:
                self._wake(due)
            else:
                self._jobs.discard(job)

    def _look(self, job: Job, now: float) -> float:
        """Act if a limit has passed; return when to look again, inf for never."""
        begun = job.begun or now  # one that has not begun cannot pass its limit before
        if job.judged or now >= begun + job.hard:
            if not job.judged:
                self.hard(job)
            return math.inf
        if now >= begun + job.soft and not job.warned:
            job.warned = True
            self.soft(job)
        return begun + (job.hard if job.warned else min(job.soft, job.hard))

    def _wake(self, at: float) -> None:
        if at < self._set_for:
            if self._timer is not None:
                self._timer.cancel()
            self._set_for = at
            self._timer = asyncio.get_running_loop().call_later(max(0.0, at - self.monotonic()), self.check)
