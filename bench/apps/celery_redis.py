"""Celery on the broker of the environment, with its results in Redis, acknowledging after a result is kept, as Penstock
does."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from bench.apps import work

_BROKER = os.environ["BENCH_URL"]

app = Celery("bench", broker=_BROKER, backend=os.environ.get("BENCH_RESULTS", _BROKER))
# https://docs.celeryq.dev/en/stable/userguide/optimizing.html: a multiplier of 50 to 150 for short tasks
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=100, broker_connection_retry_on_startup=True)
if _BROKER.startswith("amqp"):
    app.conf.broker_transport_options = {"confirm_publish": True}


@app.task
def add(x: int, y: int) -> int:
    return work.add(x, y)


@app.task
def spin(seconds: float) -> bool:
    return work.spin(seconds)


@app.task
def mark(number: int) -> int:
    return work.mark(number)


_TASKS = {"add": add, "spin": spin, "mark": mark}


def send(task: str, *args: Any) -> Any:
    return _TASKS[task].delay(*args)


def get(handle: Any) -> Any:
    return handle.get(timeout=10)
