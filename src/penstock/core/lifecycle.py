"""How a record comes to be without a submission, and how it begins anew: the same for every result backend. Pure.

Result backends read these values off and write them in their own way.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.errors import TaskRevokedError
from penstock.core.failure import encode_failure
from penstock.core.ids import id_time
from penstock.core.message import Delivery
from penstock.core.protocol import GENERATION, reopened
from penstock.core.record import Record
from penstock.core.states import PENDING
from penstock.core.times import parse


def generation_of(delivery: Delivery) -> int:
    """Which generation of its task a delivery belongs to; 0 unless the task was retried through the API."""
    found = delivery.message.headers.get(GENERATION)
    return found if type(found) is int and found > 0 else 0


def adopted(delivery: Delivery, at: float) -> Record:
    """A record for a task that nobody recorded when it was submitted: a foreign producer's. `at`: when it was met.

    Nothing on the wire says when it was submitted, save an id that carries a time or AMQP's `timestamp` property.
    """
    message = delivery.message
    stamp = message.properties.get("timestamp")
    created = stamp if type(stamp) in (int, float) else id_time(message.task_id)
    return Record(
        task_id=message.task_id,
        task=str(message.headers.get("task", "")),
        state=PENDING,
        queue=message.queue,
        message=message,
        created_at=round(at if created is None else min(float(created), at), 6),
        eta=_moment(message.headers.get("eta")),
        expires=_moment(message.headers.get("expires")),
        generation=generation_of(delivery),
    )


def next_generation(record: Record) -> Record:
    """An ended record as it begins anew: waiting, its old run among the attempts, and its publish not confirmed yet."""
    return msgspec.structs.replace(
        record,
        state=PENDING,
        message=reopened(record.message, record.generation + 1),
        generation=record.generation + 1,
        attempts=record.history(),
        retries=0,
        deliveries=0,
        eta=None,
        expires=None,
        started_at=None,
        finished_at=None,
        result=None,
        traceback=None,
        progress=None,
        cancel="",
        confirmed=False,
    )


def revocation(reason: str) -> bytes:
    """The result of a task that was revoked: TaskRevokedError(reason), encoded."""
    return encode_failure(TaskRevokedError(reason))


def _moment(value: Any) -> float | None:
    """Unix seconds of a header; None where there is none, or nonsense: the check before a run refuses that."""
    try:
        return parse(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
