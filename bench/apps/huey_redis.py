"""Huey on the Redis of the environment."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import os
from typing import Any

from huey import RedisHuey

from bench.apps import work

huey = RedisHuey("bench", url=os.environ["BENCH_URL"])


@huey.task()
def add(x: int, y: int) -> int:
    return work.add(x, y)


@huey.task()
def mark(number: int) -> int:
    return work.mark(number)


def send(task: str, *args: Any) -> Any:
    return {"add": add, "mark": mark}[task](*args)


def get(handle: Any) -> Any:
    return handle.get(blocking=True, timeout=10, max_delay=0.001)
