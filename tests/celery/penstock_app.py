"""The tasks of the tests as Penstock runs them. The same names, the same ledger, as in celery_app.py."""

from __future__ import annotations

import importlib
import os
import time
from typing import Any

from penstock import Penstock
from penstock.client.context import running

app = Penstock("tasks")


def note(event: str) -> None:
    """Task, event, who, process, when: one write, so that processes do not mix their lines."""
    current = running.get()
    task_id = current.request.id if current is not None else ""
    descriptor = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, f"{task_id} {event} penstock {os.getpid()} {time.time():.6f}\n".encode())
    os.close(descriptor)


@app.task(name="tasks.add")
def add(x: int, y: int = 0) -> int:
    note("begin")
    return x + y


@app.task(name="tasks.echo")
def echo(*args: Any, **kwargs: Any) -> Any:
    note("begin")
    return [list(args), kwargs]


@app.task(name="tasks.fail")
def fail(*args: Any) -> None:
    note("begin")
    raise ValueError(*args)


@app.task(name="tasks.rest")
def rest(seconds: float) -> str:
    note("begin")
    time.sleep(seconds)
    note("end")
    return "penstock"


@app.task(name="tasks.flaky", bind=True, max_retries=3, default_retry_delay=0.1, autoretry_for=())
def flaky(self: Any, good_at: int) -> int:
    note("begin")
    if self.request.retries < good_at:
        raise self.retry(exc=ValueError("not yet", self.request.retries))
    return int(self.request.retries)


@app.task(name="tasks.seen", bind=True)
def seen(self: Any) -> dict[str, Any]:
    """What the task is told about itself."""
    request = self.request
    names = ("id", "root_id", "parent_id", "retries", "eta", "expires", "timelimit", "group", "group_index", "reply_to",
             "correlation_id", "ignore_result", "shadow", "origin", "delivery_info")  # fmt: skip
    return {**{name: getattr(request, name) for name in names}, "custom": request.headers.get("x-custom")}


@app.task(name="aufgaben.größe.数")
def size(text: str) -> int:
    note("begin")
    return len(text)


@app.task(name="tasks.silent", ignore_result=True)
def silent() -> int:
    note("begin")
    return 1


class OwnError(Exception):
    """Nobody but this module knows it."""


OwnError.__module__ = "own"


@app.task(name="tasks.raise")
def raise_(module: str, name: str, *args: Any) -> None:
    raise OwnError(*args) if module == "own" else getattr(importlib.import_module(module), name)(*args)


@app.task(name="tasks.later", bind=True, max_retries=1)
def later(self: Any) -> None:
    raise self.retry(exc=ValueError("not now"), countdown=3600)


@app.task(name="tasks.again", bind=True)
def again(self: Any) -> int:
    if self.request.retries == 0:
        raise self.retry()
    return int(self.request.retries)
