"""The tasks of the tests as Celery runs them. The same names, the same ledger, as in penstock_app.py."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER"], backend=os.environ["BACKEND"])
app.conf.update(
    task_default_queue=os.environ.get("QUEUE", "celery"),
    broker_transport_options={"visibility_timeout": float(os.environ.get("VISIBILITY", "3600"))},
    task_acks_late=os.environ.get("ACKS_LATE") == "1",
    task_reject_on_worker_lost=os.environ.get("ACKS_LATE") == "1",
    task_queue_max_priority=int(os.environ["MAX_PRIORITY"]) if os.environ.get("MAX_PRIORITY") else None,
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,
)


def note(task: Any, event: str) -> None:
    with Path(os.environ["LEDGER"]).open("ab", buffering=0) as ledger:
        ledger.write(f"{task.request.id} {event} celery {os.getpid()} {time.time():.6f}\n".encode())


@app.task(name="tasks.add", bind=True)
def add(self: Any, x: int, y: int = 0) -> int:
    note(self, "begin")
    return x + y


@app.task(name="tasks.echo", bind=True)
def echo(self: Any, *args: Any, **kwargs: Any) -> Any:
    note(self, "begin")
    return [list(args), kwargs]


@app.task(name="tasks.fail", bind=True)
def fail(self: Any, *args: Any) -> None:
    note(self, "begin")
    raise ValueError(*args)


@app.task(name="tasks.rest", bind=True)
def rest(self: Any, seconds: float) -> str:
    note(self, "begin")
    time.sleep(seconds)
    note(self, "end")
    return "celery"


@app.task(name="tasks.flaky", bind=True, max_retries=3, default_retry_delay=0.1)
def flaky(self: Any, good_at: int) -> int:
    note(self, "begin")
    if self.request.retries < good_at:
        raise self.retry(exc=ValueError("not yet", self.request.retries))
    return int(self.request.retries)


@app.task(name="tasks.seen", bind=True)
def seen(self: Any) -> dict[str, Any]:
    """What the task is told about itself."""
    request = self.request
    names = ("id", "root_id", "parent_id", "retries", "eta", "expires", "timelimit", "group", "group_index", "reply_to",
             "correlation_id", "ignore_result", "shadow", "origin", "argsrepr", "kwargsrepr", "stamps")  # fmt: skip
    found = {name: getattr(request, name, None) for name in names}
    return {**found, "delivery_info": request.delivery_info, "custom": (request.headers or {}).get("x-custom")}
