"""What Celery's clients are told of a task: an object under a key, or an answer (celery-protocol §5). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from penstock.core.encoding import dumps
from penstock.core.message import Message
from penstock.core.record import Ending, Start
from penstock.core.states import RETRY, REVOKED, STARTED, SUCCESS
from penstock.core.times import iso

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def told(message: Message) -> bool:
    """Whether Celery's clients are told of the task: not where its message says `ignore_result`."""
    return message.headers.get("ignore_result") is not True


def started(begins: Start) -> bytes:
    """The object of a run that began; b"" for none."""
    message = begins.delivery.message
    if not told(message):
        return b""
    return _meta(message, STARTED, dumps({"pid": begins.pid, "hostname": begins.worker}))


def ended(ends: Ending) -> bytes:
    """The object of a run that ended, or is to be tried again; b"" for none: a value that is not kept is not told."""
    message = ends.delivery.message
    if not told(message) or (ends.state == SUCCESS and ends.result is None):
        return b""
    done = None if ends.state == RETRY else ends.finished_at
    return _meta(message, ends.state, ends.result, traceback=ends.traceback, children=ends.children, done=done)


def revoked(task_id: str, result: bytes, at: float) -> bytes:
    """The object of a task that was revoked while it waited."""
    return _meta(Message(b"", {"id": task_id}), REVOKED, result, done=at)


def _meta(
    message: Message,
    state: str,
    result: bytes | None,
    *,
    traceback: str | None = None,
    children: Sequence[str] = (),
    done: float | None = None,
) -> bytes:
    headers = message.headers
    more = b""
    for header, name in (("group", b"group_id"), ("parent_id", b"parent_id")):
        if headers.get(header):
            more += b', "%b": %b' % (name, dumps(headers[header]))
    return b'{"status": "%b", "result": %b, "traceback": %b, "children": %b, "date_done": %b%b, "task_id": %b}' % (
        state.encode(),
        result or b"null",
        b"null" if traceback is None else dumps(traceback),
        dumps([[[child, None], None] for child in children]) if children else b"[]",
        b"null" if done is None else b'"%b"' % iso(done).encode(),
        more,
        _quoted(message.task_id),
    )


def _quoted(task_id: str) -> bytes:
    """An id as JSON; those that we give need no look at each letter."""
    return b'"%b"' % task_id.encode() if _PLAIN.fullmatch(task_id) else dumps(task_id)


def reply(ends: Ending) -> Message | None:
    """The answer to who sent the task and waits for it at `reply_to`; None where nobody does."""
    message = ends.delivery.message
    target = message.properties.get("reply_to")
    body = ended(ends) if isinstance(target, str) and target else b""
    if not body:
        return None
    properties = {
        "correlation_id": message.properties.get("correlation_id") or message.task_id,
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 1,
    }
    return Message(body, {}, properties, str(target))
