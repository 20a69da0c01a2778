"""The floor of a child: all jobs that are in its hands, where they stand, and what room is left for more.

Book-keeping only; who moves a job from place to place is the executor, the watch and the enforcer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from penstock.worker.coroutines import Coroutines
from penstock.worker.job import Job
from penstock.worker.load import BATCH, HORIZON, Load, Pool
from penstock.worker.probation import Probation
from penstock.worker.threads import Threads


class Floor:
    """The jobs of one child. A job is held from its fetch until its message is settled or handed back."""

    def __init__(self, threads: Threads, coroutines: Coroutines, programs: Coroutines, probation: Probation) -> None:
        self.threads = threads
        self.coroutines = coroutines
        self.programs = programs  #: coroutines that wait for programs: these take a core, so they are as few as threads
        self.probation = probation
        self.held: dict[Job, None] = {}
        self._by_id: dict[str, Job] = {}
        self._plain = Pool(threads.slots, 0.5)
        self._async = Pool(coroutines.slots, 0.5)
        self._outside = Pool(programs.slots, 0.0)  # rare: it does not hold up the others until there is one
        self._load = Load((self._plain, self._async, self._outside))

    def room(self) -> int:
        """How many more messages to ask for."""
        return self._load.room(len(self.held))

    def enter(self, jobs: Sequence[Job]) -> None:
        """These were fetched."""
        self.held.update(dict.fromkeys(jobs))

    def leave(self, jobs: Iterable[Job]) -> None:
        """These are settled, handed back or lost."""
        for job in jobs:
            job.left = True
            self.held.pop(job, None)
            if self._by_id.get(job.task_id) is job:
                del self._by_id[job.task_id]

    def find(self, task_id: str) -> Job | None:
        """The job of a task, if it is here."""
        return self._by_id.get(task_id)

    def duplicate(self, job: Job) -> bool:
        """Whether another copy of the same message is here already; this one is only to be settled then."""
        first = self._by_id.setdefault(job.task_id, job)
        if first is job:
            return False
        mine, other = job.request, first.request
        return (mine.generation, mine.retries) == (other.generation, other.retries) and first.session is job.session

    def quick(self) -> bool:
        """A batch and more is here, and will have ended in no time."""
        return len(self.held) > BATCH and self._load.quick()

    def runner(self, job: Job) -> Threads | Coroutines:
        """The pool that runs jobs of this kind."""
        if job.kind.is_program:
            return self.programs
        return self.coroutines if job.kind.is_async else self.threads

    def free(self, job: Job) -> bool:
        """Its pool could begin it at once."""
        pool = self.runner(job)
        return pool.busy < pool.slots

    def reckon(self, jobs: Sequence[Job]) -> None:
        """These are decoded and will probably run: count them."""
        if not jobs:
            return
        asynchronous = outside = 0
        for job in jobs:
            job.cost = HORIZON if job.delivery.redelivered else job.kind.cost
            asynchronous += job.kind.is_async and not job.kind.is_program
            outside += job.kind.is_program
            self._book(job).take(job.cost)
        self._load.mix((len(jobs) - asynchronous - outside, asynchronous, outside))

    def unreckon(self, job: Job) -> None:
        """It does not run, or runs no more."""
        if job.cost:
            self._book(job).give(job.cost)
            job.cost = 0.0

    def block(self, job: Job) -> None:
        """It runs longer than it was reckoned at: nothing else will begin in its slot soon."""
        if 0 < job.cost < HORIZON:
            self._book(job).cost += HORIZON - job.cost
            job.cost = HORIZON

    def running(self) -> list[Job]:
        """Whose code is running and decides how it ends."""
        return [job for job in self.held if job.begun and not job.over and not job.judged]

    def withdraw(self, before: float, suspects_before: float) -> list[Job]:
        """Take out what was received before these times (monotonic) and has not begun."""
        jobs = self.threads.withdraw(before) + self.coroutines.withdraw(before) + self.programs.withdraw(before)
        jobs += self.probation.withdraw(suspects_before)
        for job in jobs:
            self.unreckon(job)
        return jobs

    def remove(self, job: Job) -> bool:
        """Take one job out that has not begun; False if it is not in a line (on its way there, or running)."""
        if not (self.runner(job).remove(job) or self.probation.remove(job)):
            return False
        self.unreckon(job)
        return True

    def _book(self, job: Job) -> Pool:
        if job.kind.is_program:
            return self._outside
        return self._async if job.kind.is_async else self._plain
