"""What travels: a message, and its hand-over to a worker. Values only; the wire format is core.protocol's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from penstock.core.states import PENDING

#: DESIGN §5.5: levels 0-9 in four steps, higher sooner, the same on every broker.
PRIORITY_STEPS = (0, 3, 6, 9)


def priority_step(priority: int) -> int:
    """The step (0, 3, 6 or 9) of a priority; out-of-range numbers are clamped."""
    return 9 if priority >= 9 else 6 if priority >= 6 else 3 if priority >= 3 else 0


@dataclass(slots=True)
class Message:
    """Headers, properties and body as they stand on the wire, and where and when they are to be delivered."""

    body: bytes
    headers: dict[str, Any] = field(default_factory=dict)
    #: AMQP's basic properties by kombu's names: correlation_id, reply_to, delivery_mode, priority, content_type,
    #: content_encoding … (celery-protocol §1.2)
    properties: dict[str, Any] = field(default_factory=dict)
    queue: str = "default"
    priority: int = 0
    due: float | None = None  #: unix seconds; not to be delivered before
    #: what core.head has made of all this but the body and the queue: it is kept with the record and with the message.
    #: Who wants to change a message that was kept makes another one.
    head: bytes = field(default=b"", init=False, repr=False, compare=False)

    @property
    def task_id(self) -> str:
        """The task's id, or "" for a raw message, and for an id with a NUL, which not every back end can store."""
        found = self.headers.get("id")
        return found if isinstance(found, str) and "\0" not in found else ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the check step needs to know of a record before it lets a delivery run."""

    state: str
    cancel: str
    generation: int
    retries: int
    deliveries: int
    held: float | None = None  #: STARTED under a lease that is alive: seconds it has left, below 0 if it is late


#: nearly every one: the task has not run, and was left alone
UNTOUCHED: Final = Standing(PENDING, "", 0, 0, 0)


class Delivery(msgspec.Struct):
    """One hand-over of a message to a worker under a lease. `tag` is the broker's own; nobody else looks inside."""

    message: Message
    tag: Any
    redelivered: bool = False  #: an earlier delivery of this message was not settled
    standing: Standing | None = None  #: how its record stood at the claim, if the broker could see that; None: look
