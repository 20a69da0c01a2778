"""One delivery on its way through the worker: everything that the steps of the pipe learn and decide about it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from penstock.core.message import Delivery, Message
from penstock.core.record import DeadLetter, Ending

if TYPE_CHECKING:
    from penstock.client.task import Task
    from penstock.core.request import Request
    from penstock.worker.load import Kind
    from penstock.worker.session import Session


class Runner(Protocol):
    """What runs a job right now: a thread, or an asyncio task."""

    def interrupt(self, job: Job, error: type[BaseException]) -> None:
        """Raise `error` inside the job's code, if it is still in there."""


class Terminated(BaseException):  # not an Exception: a task's `except Exception` must not swallow it
    """Raised inside a task that is to end now: its hard limit has passed, or it was cancelled while it ran."""


class Job:
    """A delivery with its decoded request, its run and its outcome. Plain attributes: one is made for every message."""

    # decoded and found
    request: Request
    task: Task
    kind: Kind
    kind_index: int  #: index of the task's name among the app's, for the slot
    # checked
    deliveries: int = 1  #: the number of this run
    refused: bool = False  #: its record said no when it was to be marked as started
    cost: float = 0.0  #: at which it was reckoned when it was taken in; 0.0 if it was not
    # run
    begun: float = 0.0  #: monotonic; 0.0: it has not begun
    started_at: float | None = None  #: unix seconds
    marked: bool = False  #: STARTED stands in the record
    parked: bool = False  #: its message is settled; the record stands for it
    slot: int = -1  #: where its run is written down
    hard: float = math.inf  #: seconds that it may run at most
    soft: float = math.inf
    warned: bool = False  #: its soft limit has been raised
    runner: Runner | None = None
    interrupt: type[BaseException] | None = None  #: raised, or about to be, by its runner
    revoked: str = ""  #: cancelled while it waited here: the reason
    judged: bool = False  #: its ending was decided from outside; what its code still does has no effect
    over: bool = False  #: its code has come back
    left: bool = False  #: settled, handed back or lost: the floor does not hold it any more
    settled: bool = False  #: before the run: whatever comes of it, the message is gone
    # came out
    value: bytes | None = None  #: the encoded result
    error: BaseException | None = None
    traceback: str | None = None
    children: list[str] | tuple[()] = ()
    # decided
    ending: Ending | None = None  #: None with a hand-over back to the broker, and where an ending stands already
    again: Message | None = None  #: to be published: the next attempt
    letter: DeadLetter | None = None
    back: float | None = None  #: hand the message back after these seconds instead of settling it

    def __init__(self, delivery: Delivery, session: Session, received: float) -> None:
        self.delivery = delivery
        self.task_id = delivery.message.task_id
        self.standing = delivery.standing  #: how its record stood at the claim; None: it is to be looked up
        self.session = session  #: the lease it is held under
        self.received = received  #: monotonic

    @property
    def ignores_result(self) -> bool:
        """Its value is not kept: the message says so, or, where that is silent, the task."""
        said = self.request.ignore_result
        return self.task.options.ignore_result if said is None else said

    @property
    def where(self) -> dict[str, Any]:
        """What goes into each log line about it, as into those that it writes itself."""
        request = getattr(self, "request", None)  # it may not have been decoded
        if request is None:
            return {"task_id": self.task_id}
        return {"task_id": self.task_id, "task": request.task, "attempt": request.retries + 1}
