"""Suspects: jobs that were delivered before, or whose process died before. One of them may have killed it.

Each is charged in its record just before it runs, so that a crash loop is found even if nobody sees the crash. One at a
time is in its first second, so that a crash charges nobody who had not begun, and loses nobody's ending. One that has
used up half of its deliveries runs without another suspect beside it: then there is no doubt who did it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from penstock.worker.job import Job

TRIAL = 1.0  #: seconds a suspect runs before the next one may begin


class Probation:
    """The line of suspects of one child. Decides who is next; does nothing itself."""

    def __init__(self, max_deliveries: int, monotonic: Callable[[], float]) -> None:
        self.max_deliveries = max_deliveries
        self.monotonic = monotonic
        self.waiting: deque[Job] = deque()
        self._inside: list[Job] = []  # begun, or about to; until their endings are recorded

    def add(self, jobs: Iterable[Job]) -> None:
        self.waiting.extend(jobs)

    def next(self, free: Callable[[Job], bool]) -> Job | None:
        """The suspect that may begin now, if there is one; `free` says whether its pool has a slot."""
        self._inside = [job for job in self._inside if not job.left]
        if not self.waiting or not self._tried():
            return None
        job = self.waiting[0]
        if (self._inside and (self._grave(job) or any(map(self._grave, self._inside)))) or not free(job):
            return None
        self._inside.append(self.waiting.popleft())
        return job

    def dismiss(self, job: Job) -> None:
        """It does not begin after all."""
        self._inside.remove(job)

    def remove(self, job: Job) -> bool:
        """Take one job out; False if it does not wait (any more)."""
        if job not in self.waiting:
            return False
        self.waiting.remove(job)
        return True

    def withdraw(self, before: float) -> list[Job]:
        """Take out what was received before that time (monotonic) and still waits."""
        found = [job for job in self.waiting if job.received < before]
        self.waiting = deque(job for job in self.waiting if job.received >= before)
        return found

    def _tried(self) -> bool:
        now = self.monotonic()
        return all(job.begun and now - job.begun >= TRIAL for job in self._inside)

    def _grave(self, job: Job) -> bool:
        lost = job.deliveries - 1  # runs whose process died
        return lost > 0 and 2 * lost >= self.max_deliveries - 1
