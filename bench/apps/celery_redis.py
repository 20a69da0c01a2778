"""Celery on the Redis of the environment, acknowledging after the result is kept, as Penstock does."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import os
from typing import Any

from celery import Celery

from bench.apps import work

app = Celery("bench", broker=os.environ["BENCH_URL"], backend=os.environ["BENCH_URL"])
app.conf.update(task_acks_late=True, worker_prefetch_multiplier=100, broker_connection_retry_on_startup=True)


@app.task
def add(x: int, y: int) -> int:
    return work.add(x, y)


_TASKS = {"add": add}


def send(task: str, *args: Any) -> Any:
    return _TASKS[task].delay(*args)


def get(handle: Any) -> Any:
    return handle.get(timeout=10)
