"""Celery's object `celery-task-meta-<id>`: its key, and what a Celery worker wrote there (celery-protocol §5). Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.encoding import dumps, loads
from penstock.core.errors import DecodingError
from penstock.core.record import Record
from penstock.core.states import ENDED, SUCCESS
from penstock.core.times import parse


def merged(record: Record, raw: bytes | None) -> Record:
    """The record, with the ending that a Celery worker has written for it."""
    if raw is None or record.state in ENDED:
        return record
    try:
        found = loads(raw)
        state, done = found["status"], found.get("date_done")
        if state not in ENDED:
            return record
        at = parse(done) if isinstance(done, str) else record.created_at
        created = record.created_at or at
        return msgspec.structs.replace(
            record, state=state, result=_result(found), traceback=_text(found), finished_at=at, created_at=created
        )
    except (DecodingError, KeyError, TypeError, ValueError, AttributeError):  # it is not ours, nor Celery's
        return record


def _result(found: dict[str, Any]) -> bytes | None:
    value = found.get("result")
    return None if value is None and found["status"] != SUCCESS else dumps(value)


def _text(found: dict[str, Any]) -> str | None:
    trace = found.get("traceback")
    return trace if isinstance(trace, str) else None


def key(prefix: str, task_id: str) -> str:
    """The key, and the channel, of a task's object; `prefix` as Celery's result backend joins it."""
    return f"{prefix}{'' if not prefix or prefix[-1] in ':_-.' else '_'}celery-task-meta-{task_id}"
