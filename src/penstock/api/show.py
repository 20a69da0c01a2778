"""How records, letters, workers and changes look from outside: plain objects, times in ISO 8601 UTC.

Values that users wrote (arguments, results, progress) are encoded JSON already and are spliced into the answer as they
are; only kombu's typed forms, and what JSON does not know, are decoded and written as the plain values they stand for.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from penstock.core.broker import QueueDepth
from penstock.core.encoding import loads
from penstock.core.errors import BadMessage, DecodingError
from penstock.core.message import Message
from penstock.core.preview import preview
from penstock.core.protocol import raw_arguments
from penstock.core.record import Attempt, Change, DeadLetter, LogPiece, Record, WorkerInfo
from penstock.core.schedule import ScheduleEntry
from penstock.core.states import FAILURE, REVOKED

#: Longest encoded value, in bytes, that a list shows; a page of the largest stays a few megabytes.
LONGEST = 4096

NULL = msgspec.Raw(b"null")
#: What raw JSON has to be decoded for: typed forms (a letter may hide behind an escape), and numbers that JSON lacks.
_FOREIGN = (b"__type__", b"\\u00", b"NaN", b"Infinity")


def moment(unix: float | None) -> datetime | None:
    """Unix seconds as a time that encodes as `2026-01-31T12:00:00.5Z`; None outside the calendar."""
    if unix is None:
        return None
    try:
        return datetime.fromtimestamp(unix, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def value(raw: bytes | None) -> Any:
    """Encoded JSON as something to encode: spliced where it can be."""
    if raw is None:
        return None
    if not any(mark in raw for mark in _FOREIGN):
        return msgspec.Raw(raw)
    try:
        return msgspec.Raw(msgspec.json.encode(loads(raw)))
    except (DecodingError, ValueError) as fault:
        return f"{preview(raw)} ({fault})"


def arguments(message: Message) -> tuple[bytes | None, bytes | None]:
    """The encoded args and kwargs of a message; None where it cannot be read."""
    try:
        return raw_arguments(message)
    except BadMessage:
        return None, None


def _limits(message: Message) -> tuple[Any, Any]:
    limits = message.headers.get("timelimit")
    return (limits[0], limits[1]) if isinstance(limits, (list, tuple)) and len(limits) == 2 else (None, None)


def task(record: Record) -> dict[str, Any]:
    """One task, whole."""
    args, kwargs = arguments(record.message)
    return {
        **_summary(record),
        "args": value(args),
        "kwargs": value(kwargs),
        "result": value(record.result),
        "progress": value(record.progress),
        "traceback": record.traceback,
        "children": record.children,
        "attempts": [_attempt(record, each) for each in record.history()],
    }


def task_item(record: Record) -> dict[str, Any]:
    """One task in a list: values that are too long for one are null, and named in `omitted`."""
    args, kwargs = arguments(record.message)
    values = {"args": args, "kwargs": kwargs, "result": record.result, "progress": record.progress}
    omitted = [name for name, raw in values.items() if raw is not None and len(raw) > LONGEST]
    shown = {name: None if name in omitted else value(raw) for name, raw in values.items()}
    return {**_summary(record), **shown, "omitted": omitted}


def _summary(record: Record) -> dict[str, Any]:
    headers = record.message.headers
    hard, soft = _limits(record.message)
    started, finished = record.started_at, record.finished_at
    return {
        "task_id": record.task_id,
        "task": record.task,
        "status": record.state,
        "queue": record.queue,
        "priority": record.message.priority,
        "retries": record.retries,
        "worker": record.worker or None,
        "created_at": moment(record.created_at),
        "eta": moment(record.eta),
        "expires": moment(record.expires),
        "started_at": moment(started),
        "finished_at": moment(finished),
        "runtime": None if started is None or finished is None else max(0.0, round(finished - started, 6)),
        "time_limit": hard,
        "soft_time_limit": soft,
        "deliveries": record.deliveries,
        "generation": record.generation,
        "cancelling": bool(record.cancel) and record.finished_at is None,
        "parent_id": headers.get("parent_id"),
        "root_id": headers.get("root_id") or record.task_id,
    }


def _attempt(record: Record, attempt: Attempt) -> dict[str, Any]:
    error: Any = attempt.error
    if error is None and attempt.state in {FAILURE, REVOKED} and attempt.number > len(record.attempts):
        error = value(record.result)  # the last run's error is the task's result
    started, finished = attempt.started_at, attempt.finished_at
    return {
        "number": attempt.number,
        "status": attempt.state,
        "worker": attempt.worker or None,
        "pid": attempt.pid or None,
        "started_at": moment(started),
        "finished_at": moment(finished),
        "runtime": None if started is None or finished is None else max(0.0, round(finished - started, 6)),
        "error": error,
        "traceback": attempt.traceback,
    }


def change(line: Change) -> dict[str, Any]:
    """One line of the feed, as the data of a server-sent event."""
    content: dict[str, Any] = {
        "task_id": line.task_id,
        "task": line.task,
        "queue": line.queue,
        "worker": line.worker or None,
        "at": moment(line.at),
    }
    if line.state == "PROGRESS":
        return content | {"progress": value(line.progress)}
    return content if line.state == "LOG" else content | {"status": line.state}


def log_lines(pieces: Sequence[LogPiece]) -> list[dict[str, Any]]:
    """The lines of a task's log, oldest first."""
    lines = (line for piece in pieces for line in msgspec.json.decode(piece.lines))
    return [{**line, "at": moment(line["at"])} for line in lines]


def dead_letter(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter in a list."""
    return {
        "id": letter.id,
        "queue": letter.queue,
        "reason": letter.reason,
        "detail": letter.detail,
        "task_id": letter.task_id or None,
        "task": letter.task or None,
        "deliveries": letter.deliveries,
        "died_at": moment(letter.died_at),
        "size": len(letter.message.body),
    }


def dead_letter_whole(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter with its message; a body that is not text is given in base64."""
    message = letter.message
    try:
        body, encoding = message.body.decode(), "utf-8"
    except UnicodeDecodeError:
        body, encoding = base64.b64encode(message.body).decode(), "base64"
    return {
        **dead_letter(letter),
        "headers": message.headers,
        "properties": message.properties,
        "body": body,
        "body_encoding": encoding,
    }


def queues(depths: Sequence[QueueDepth], workers: Sequence[WorkerInfo]) -> list[dict[str, Any]]:
    """The queues that exist and those that live workers take from, by name."""
    takers = Counter(queue for info in workers for queue in set(info.queues))
    found = {name: QueueDepth(name, 0, 0, 0, paused=False) for name in takers}
    found |= {depth.name: depth for depth in depths}
    return [
        {
            "name": name,
            "ready": depth.ready,
            "delayed": depth.delayed,
            "claimed": depth.claimed,
            "paused": depth.paused,
            "oldest": moment(depth.oldest),
            "workers": takers[name],
        }
        for name, depth in sorted(found.items())
    ]


def worker(info: WorkerInfo) -> dict[str, Any]:
    """A live worker."""
    return {
        "name": info.name,
        "host": info.host,
        "pid": info.pid,
        "version": info.version,
        "started_at": moment(info.started_at),
        "seen_at": moment(info.seen_at),
        "queues": info.queues,
        "tasks": sorted(info.tasks),
        "processes": info.processes,
        "threads": info.threads,
        "concurrency": info.concurrency,
        "status": info.status,
    }


def schedule(entry: ScheduleEntry) -> dict[str, Any]:
    """A schedule as it stands."""
    plan = entry.schedule
    return {
        "name": plan.name,
        "app": entry.app,
        "task": plan.task,
        "args": list(plan.args),
        "kwargs": plan.kwargs,
        "cron": plan.cron or None,
        "every": plan.every or None,
        "timezone": plan.timezone,
        "missed": plan.missed,
        "options": plan.options,
        "paused": entry.paused,
        "next_due": moment(entry.next_due),
        "last_due": moment(entry.last_due),
        "last_task_id": entry.last_task_id or None,
        "fired": entry.fired,
    }
