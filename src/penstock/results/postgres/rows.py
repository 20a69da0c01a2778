"""Rows as values and back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from penstock.core.encoding import dumps, loads
from penstock.core.head import head_of, message_of
from penstock.core.message import Message
from penstock.core.record import Attempt, Change, Record
from penstock.core.search import arguments_text
from penstock.drivers.postgres import columns

#: the fields of a record that stand in the statement `create` as they are, in its order, with `owed` after them
_PLAIN: Final = (
    "task_id", "task", "state", "queue", "created_at", "eta", "expires", "started_at", "finished_at", "worker", "pid",
    "retries", "deliveries", "generation", "cancel", "submitter",
)  # fmt: skip
_plain = attrgetter(*_PLAIN)
#: what nothing has happened to yet has in `state` and from `started_at` on, without `submitter`
_UNTOUCHED: Final = ("PENDING", None, None, "", 0, 0, 0, 0, "", None, None, None)
_touched = attrgetter(
    "state", "started_at", "finished_at", "worker", "pid", "retries", "deliveries", "generation", "cancel", "result",
    "traceback", "progress",
)  # fmt: skip
_SUBMITTED: Final = ("task_id", "task", "queue", "created_at", "eta", "expires", "submitter")
_submitted = attrgetter(*_SUBMITTED)


def plain(record: Record) -> bool:
    """Whether it is the record of a plain submission, for which the statement `submit` is enough, and faster."""
    return _touched(record) == _UNTOUCHED and not record.children and not record.attempts


def submission(record: Record) -> tuple[Any, ...]:
    """What the statement `submit_one` takes; `submit` takes columns of it."""
    return (*_submitted(record), _owed(record), *payload(record.message))


def enlisted(records: Sequence[Record]) -> bytes:
    """New records as JSON, for the function of the database that connections of others call."""
    rows = []
    for record in records:
        head, body, extent, searched = payload(record.message)
        row = dict(zip(_SUBMITTED[:-1], _submitted(record), strict=False))
        rows.append({**row, "head": head.hex(), "body": body.hex(), "extent": extent, "searched": searched.hex()})
    return dumps(rows, where="records")


def creations(records: Sequence[Record]) -> list[Sequence[Any] | None]:
    """The columns of the statement `create`."""
    return columns(
        (
            *_plain(record),
            _owed(record),
            record.result,
            packed(record.traceback),
            record.progress,
            *payload(record.message),
        )
        for record in records
    )


def _owed(record: Record) -> float | None:
    return None if record.confirmed else record.created_at


def payload(message: Message) -> tuple[bytes, bytes, int, bytes]:
    """The message, and what of it is searched."""
    text = arguments_text(message)
    here = message.body[1 : len(text) + 1] == text
    return (head_of(message), message.body, len(text) if here else 0, b"" if here else text.replace(b"\0", b" "))


def packed(text: str | None) -> bytes | None:
    """Text that may hold anything, as bytes: PostgreSQL's own texts hold no NUL and no lone surrogate."""
    return None if text is None else text.encode("utf-8", "surrogatepass")


def unpacked(data: bytes | None) -> str | None:
    """Text from bytes."""
    return None if data is None else data.decode("utf-8", "surrogatepass")


def attempts_of(packed_attempts: Sequence[bytes] | None) -> list[Attempt]:
    """From the column `attempts`."""
    return [Attempt(**loads(attempt)) for attempt in packed_attempts or ()]


def attempts_packed(attempts: Sequence[Attempt]) -> list[bytes] | None:
    """The column `attempts`."""
    return [dumps(attempt) for attempt in attempts] or None


def record_of(row: Sequence[Any]) -> Record:
    """From a row of the columns that records.sql lists."""
    values = dict(zip(_PLAIN, tuple(row)[1:17], strict=True))
    owed, result, traceback, progress, children, attempts, head, body = tuple(row)[17:]
    return Record(
        **values,
        message=message_of(head, body, values["queue"]),
        result=result,
        traceback=unpacked(traceback),
        progress=progress,
        children=list(children or ()),
        attempts=attempts_of(attempts),
        confirmed=owed is None,
    )


def change_of(row: Sequence[Any]) -> Change:
    """From a row of the feed."""
    seq, at, task_id, task, queue, state, worker, progress = row
    return Change(
        seq=seq, at=at, task_id=task_id, task=task, queue=queue, state=state, worker=worker, progress=progress
    )
