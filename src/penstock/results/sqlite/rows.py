"""Rows as values and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from penstock.core.encoding import dumps, loads
from penstock.core.head import head_of, message_of
from penstock.core.message import Message
from penstock.core.record import Attempt, Change, Record
from penstock.core.search import arguments_text

#: the columns of records that are fields of Record as they stand, in the order of the table
_PLAIN = (
    "task_id", "task", "state", "queue", "created_at", "eta", "expires", "started_at", "finished_at", "worker", "pid",
    "retries", "deliveries", "generation", "cancel", "submitter",
)  # fmt: skip
_plain = attrgetter(*_PLAIN)


def json_text(value: Any) -> str:
    """JSON as text, for a parameter that json_each reads or a column of text."""
    return dumps(value).decode()


#: how many columns of a row the statement `submit` takes
SUBMITTED = 5
#: the others of a record of a plain submission: without `eta`, `expires` and `submitter`, and nothing has happened yet
_UNTOUCHED = (None,) * 4 + ("", 0, 0, 0, 0, "", "") + (None,) * 7

#: the rows of a record in the tables `records` and `payloads`, each without its number
Rows = tuple[tuple[Any, ...], tuple[Any, ...]]


def rows_of(record: Record) -> Rows:
    """The rows of a record."""
    return _row(record), _payload(record.message)


def submitted(row: tuple[Any, ...]) -> bool:
    """Whether it is the row of a plain submission, for which the statement `submit` is enough, and faster."""
    return row[SUBMITTED:] == _UNTOUCHED


def _row(record: Record) -> tuple[Any, ...]:
    return (
        *_plain(record),
        None if record.confirmed else record.created_at,
        None,
        record.result,
        record.traceback,
        record.progress,
        json_text(record.children) if record.children else None,
        attempts_text(record.attempts),
    )


def _payload(message: Message) -> tuple[Any, ...]:
    """The message, and what of it is searched; not as bytes, of which sqlite3 looks for adapters at length."""
    text = arguments_text(message)
    here = message.body[1 : len(text) + 1] == text
    return bytearray(head_of(message)), bytearray(message.body), len(text) if here else 0, "" if here else text


def attempts_text(attempts: Sequence[Attempt]) -> str | None:
    """The column `attempts`."""
    return json_text(attempts) if attempts else None


def attempts_of(text: str | None) -> list[Attempt]:
    """From the column `attempts`."""
    return [Attempt(**attempt) for attempt in loads(text)] if text else []


def record_of(row: Sequence[Any]) -> Record:
    """From a row of `records.*, head, body`."""
    plain = dict(zip(_PLAIN, row[1:17], strict=True))
    owed, _lease, result, traceback, progress, children, attempts, head, body = row[17:]
    return Record(
        **plain,
        message=message_of(head, body, plain["queue"]),
        result=result,
        traceback=traceback,
        progress=progress,
        children=loads(children) if children else [],
        attempts=attempts_of(attempts),
        confirmed=owed is None,
    )


def records_of(rows: Iterable[Sequence[Any]]) -> list[Record]:
    """From rows of `records.*, head, body`."""
    return [record_of(row) for row in rows]


def change_of(row: Sequence[Any]) -> Change:
    """From a row of the feed."""
    seq, at, task_id, task, queue, state, worker, progress = row
    return Change(
        seq=seq, at=at, task_id=task_id, task=task, queue=queue, state=state, worker=worker, progress=progress
    )
