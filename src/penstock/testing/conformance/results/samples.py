"""Records, deliveries, starts and endings for the tests to play with."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.core.ids import new_id
from penstock.core.message import Delivery, Message
from penstock.core.record import Attempt, DeadLetter, Ending, Record, Start, WorkerInfo
from penstock.core.results import ResultBackend
from penstock.core.states import PENDING, RETRY, SUCCESS

WORKER = "w1@host"
BOOM: dict[str, Any] = {"exc_type": "ValueError", "exc_message": ["boom"], "exc_module": "builtins"}
#: far from the limits of any clock, and with a fraction that a float holds exactly
NOON = 1_700_000_000.25


def message(
    task_id: str,
    task: str = "add",
    args: Sequence[Any] = (2, 3),
    kwargs: Mapping[str, Any] | None = None,
    queue: str = "default",
    **headers: Any,
) -> Message:
    """A message as a Penstock client puts it on the wire."""
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    body = json.dumps([args, kwargs or {}, embed], separators=(",", ":"), ensure_ascii=False).encode()
    return Message(
        body,
        {"lang": "py", "task": task, "id": task_id, "retries": 0, "eta": None, "expires": None, **headers},
        {"correlation_id": task_id, "reply_to": "", "content_type": "application/json", "content_encoding": "utf-8"},
        queue,
    )


def record(task_id: str = "", args: Sequence[Any] = (2, 3), **given: Any) -> Record:
    """A record as a client writes it on submission; `given` are fields of Record."""
    task_id = task_id or new_id()
    task, queue = given.pop("task", "add"), given.pop("queue", "default")
    fields: dict[str, Any] = {"state": PENDING, "created_at": NOON, **given}
    fields.setdefault("message", message(task_id, task, args, queue=queue))
    return Record(task_id=task_id, task=task, queue=queue, **fields)


def delivery(of: Record | Message, **headers: Any) -> Delivery:
    """A hand-over of the task's message; `headers` are changed in it."""
    original = of.message if isinstance(of, Record) else of
    changed = Message(original.body, {**original.headers, **headers}, original.properties, original.queue)
    return Delivery(changed, tag=None)


def start(of: Record | Delivery, deliveries: int = 1, **given: Any) -> Start:
    """The run of a delivery begins."""
    fields: dict[str, Any] = {"worker": WORKER, "pid": 17, "started_at": NOON + 1, **given}
    return Start(delivery=of if isinstance(of, Delivery) else delivery(of), deliveries=deliveries, **fields)


def ending(of: Record | Delivery, state: str = SUCCESS, **given: Any) -> Ending:
    """The run of a delivery ends."""
    fields: dict[str, Any] = {"worker": WORKER, "pid": 17, "started_at": NOON + 1, "finished_at": NOON + 2, **given}
    if state == SUCCESS:
        fields.setdefault("result", b"5")
    return Ending(delivery=of if isinstance(of, Delivery) else delivery(of), state=state, **fields)


def retry(of: Record | Delivery, retries: int = 0, **given: Any) -> Ending:
    """The run of a delivery ends in the decision to try again at NOON + 10; `retries` are those before it."""
    attempt = Attempt(
        number=retries + 1, state=RETRY, worker=WORKER, pid=17, started_at=NOON + 1, finished_at=NOON + 2, error=BOOM,
        traceback="Traceback (most recent call last): …",
    )  # fmt: skip
    fields: dict[str, Any] = {"eta": NOON + 10, "result": json.dumps(BOOM).encode(), "attempt": attempt, **given}
    return ending(of, RETRY, retries=retries, **fields)


def letter(letter_id: str = "", **given: Any) -> DeadLetter:
    """A message that nobody will run again; `given` are fields of DeadLetter."""
    letter_id = letter_id or new_id()
    fields: dict[str, Any] = {
        "queue": "default", "reason": "WorkerLostError", "detail": "its worker died 5 times", "died_at": NOON,
        "task_id": letter_id, "task": "add", "deliveries": 5, "message": message(letter_id), **given,
    }  # fmt: skip
    return DeadLetter(id=letter_id, **fields)


def worker(name: str = WORKER, **given: Any) -> WorkerInfo:
    """A worker as it registers itself; `given` are fields of WorkerInfo."""
    fields: dict[str, Any] = {
        "host": "host", "pid": 17, "started_at": NOON, "queues": ["default"], "processes": 2, "threads": 8,
        "concurrency": 100, "version": "0.1.0", "tasks": {"add": {"type": "object"}}, **given,
    }  # fmt: skip
    return WorkerInfo(name=name, **fields)


async def lease(results: ResultBackend, seconds: float = 60.0, of: str = WORKER) -> str:
    """A lease that is alive."""
    name = new_id()
    await results.leases.open(name, of, seconds)
    return name


async def created(results: ResultBackend, *records: Record) -> tuple[Record, ...]:
    """Write records, and hand them on."""
    await results.records.create(records)
    return records


async def read(results: ResultBackend, of: Record | str) -> Record:
    """The record as it stands in the store."""
    task_id = of if isinstance(of, str) else of.task_id
    return (await results.records.get([task_id]))[task_id]
