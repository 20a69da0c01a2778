"""Raw messages through the worker's pipe: no task and no record, one program for all of them.

The same steps as a task's (executor), with other answers: nothing is decoded, a failed message is published again with
one more in its count and a delay, and what has failed too often, or must not be tried again, becomes a dead letter.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Final

from penstock.client.backends import Backends
from penstock.client.task import Task
from penstock.core.broker import Declaration
from penstock.core.errors import LeaseLost, Reject, WorkerLostError
from penstock.core.ids import new_id
from penstock.core.message import Message, Standing
from penstock.core.record import DeadLetter
from penstock.core.request import Request
from penstock.core.retry import RetryPolicy
from penstock.core.step import commit
from penstock.core.task import TaskOptions
from penstock.programs.program import Program
from penstock.programs.run import Time
from penstock.worker.checks import Checks
from penstock.worker.job import Job
from penstock.worker.load import Kind
from penstock.worker.outcome import Judge
from penstock.worker.patience import Patience
from penstock.worker.session import Session
from penstock.worker.start import Starter

if TYPE_CHECKING:
    from penstock.client.app import Penstock

log = logging.getLogger("penstock.worker.raw")

#: The header that counts the runs of a raw message that are over: it has no record that could.
DELIVERIES: Final = "penstock_deliveries"
#: Headers of a dead letter that lies in a queue of its own, for want of a result backend.
REASON, DETAIL, DIED_AT, CAME_FROM = "penstock_reason", "penstock_detail", "penstock_died_at", "penstock_queue"
#: Seconds for which a raw message is handed back: so it goes as a new copy where the server marks what returns to its
#: place as delivered before, and that would be counted.
ANEW: Final = 0.001
_DEAD: Final = ".dead"  # after a queue's name: where its dead letters lie then


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """What is done with each raw message."""

    program: Program
    max_deliveries: int = 5
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    time: Time = field(default_factory=Time)
    prefetch: int = 0  #: messages held at most, running ones among them; 0: what will probably run soon, as of tasks
    count: int = 0  #: runs after which it is over; 0: never
    acks: bool = True  #: False: a message is gone as soon as it is here, whatever its program does
    declarations: tuple[Declaration, ...] = ()  #: queues that are to be there before it is ready
    letters: bool = True  #: dead letters go to the result backend; False: into the queue `<queue>.dead`


class RawChecks(Checks):
    """Every message is readable. One that was delivered before without an end is counted first, then runs again."""

    def __init__(self, raw: Raw, app: Penstock, judge: RawJudge, clock: Callable[[], float]) -> None:
        super().__init__(app, judge, clock)
        self.raw = raw
        self._judge = judge
        self._kind = Kind(is_async=True, is_program=True)
        self._task = Task()
        self._task.name = raw.program.name
        self._task.options = TaskOptions(track_started=not raw.acks)

    def readable(self, job: Job) -> bool:
        """Dress the message as a job."""
        message = job.delivery.message
        job.task_id = new_id()  # of this delivery: a producer's ids need not be different ones
        job.task, job.kind, job.kind_index = self._task, self._kind, 0
        job.deliveries = counted(message) + 1
        job.request = Request(
            id=job.task_id,
            task=self._task.name,
            args=[],
            kwargs={},
            embed={},
            headers=message.headers,
            queue=message.queue,
            properties=message.properties,
            deliveries=job.deliveries,
            redelivered=job.delivery.redelivered,
        )
        return False

    async def standings(self, ids: Sequence[str]) -> Mapping[str, Standing]:  # noqa: ARG002
        """There are no records."""
        return {}

    def runnable(self, job: Job, standing: Standing | None, seen: Container[str] = ()) -> bool:  # noqa: ARG002
        """Count what was lost before it ended."""
        if job.delivery.redelivered and self.raw.acks:
            self._judge.lost(job)
            return True
        return False

    def suspicious(self, job: Job) -> bool:  # noqa: ARG002
        """A program cannot harm its worker."""
        return False


class RawJudge(Judge):
    """Decides on runs of the program."""

    def __init__(self, raw: Raw, worker: str, clock: Callable[[], float], rng: Random) -> None:
        super().__init__(worker, clock, rng)
        self.raw = raw

    def outcome(self, job: Job) -> None:
        """Decide on a run that is over."""
        if job.error is not None:
            self.fail(job, job.error)

    def fail(self, job: Job, error: BaseException, traceback: str | None = None) -> None:  # noqa: ARG002
        """Again, later; or never more."""
        if job.settled:
            return
        if isinstance(error, Reject):
            self.bury(job, "rejected", error)
        elif job.deliveries >= self.raw.max_deliveries:
            self.bury(job, type(error).__name__, error)
        else:
            delay = self.raw.retry.delay(job.deliveries - 1, self.rng)
            job.again = _counting(job.delivery.message, job.deliveries, self.clock() + delay if delay else None)

    def lost(self, job: Job) -> None:
        """It was delivered before, and whoever had it is gone, or lost its connection."""
        if job.deliveries >= self.raw.max_deliveries:
            self.poison(job)
        else:
            job.again = _counting(job.delivery.message, job.deliveries, None)

    def poison(self, job: Job) -> None:
        """The last of its deliveries had no end either."""
        error = WorkerLostError(f"delivered {job.deliveries} times; the worker died under the last, or lost its broker")
        self.bury(job, "WorkerLostError", error)

    def revoke(self, job: Job, reason: str) -> None:  # noqa: ARG002
        """Nobody cancels what has no id; if so, it is for others."""
        job.back = 0.0

    def bury(self, job: Job, reason: str, error: BaseException) -> None:
        """Keep the message as a dead letter."""
        message = _counting(job.delivery.message, 0, None)
        if not self.raw.letters:
            told = {REASON: reason, DETAIL: str(error), DIED_AT: self.clock(), CAME_FROM: message.queue}
            job.again = replace(
                message,
                queue=message.queue + _DEAD,
                headers={**message.headers, **told},
                properties={**message.properties, "delivery_mode": 2},  # whoever sent it: this one is to be kept
            )
            return
        job.letter = DeadLetter(
            id=new_id(),
            queue=message.queue,
            reason=reason,
            detail=str(error),
            message=message,
            died_at=self.clock(),
            deliveries=job.deliveries,
        )


class RawStarter(Starter):
    """Nothing is marked; without acknowledgements, messages are settled before they run."""

    def __init__(
        self,
        raw: Raw,
        backends: Backends,
        worker: str,
        clock: Callable[[], float],
        lost: Callable[[Session], None],
    ) -> None:
        super().__init__(backends, worker, clock, lost)
        self.raw = raw

    async def allow(self, jobs: Sequence[Job], *, charge: bool) -> list[Job]:  # noqa: ARG002
        """Settle; return those that may run: all, or none if the lease is lost."""
        for session in {job.session for job in jobs}:
            step = session.consumer.settle([job.delivery for job in jobs if job.session is session])
            try:
                await Patience("acknowledging", log).run(partial(commit, step))
            except LeaseLost:
                self.lost(session)
        for job in jobs:
            job.settled = True
        return [job for job in jobs if job.session.alive]

    async def note(self, jobs: Sequence[Job], progress: Mapping[str, bytes] | None = None) -> None:
        """There is no record to mark."""


def counted(message: Message) -> int:
    """How many runs of a raw message are over; what is no number is none."""
    found: Any = message.headers.get(DELIVERIES)
    return found if type(found) is int and 0 <= found < math.inf else 0


def _counting(message: Message, count: int, due: float | None) -> Message:
    """The message as it goes on: as it was, but for its count (0: without one)."""
    headers = {name: value for name, value in message.headers.items() if name != DELIVERIES}
    if count:
        headers[DELIVERIES] = count
    return replace(message, headers=headers, due=due)
