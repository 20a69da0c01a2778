"""Huey in an SQLite file in the current folder."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import time
from typing import Any

from huey import SqliteHuey

from bench.apps import work

huey = SqliteHuey("bench", filename="huey.db", fsync=True)


@huey.task()
def add(x: int, y: int) -> int:
    return work.add(x, y)


@huey.task()
def spin(seconds: float) -> bool:
    return work.spin(seconds)


@huey.task()
def nap(seconds: float) -> bool:
    time.sleep(seconds)
    return True  # Huey keeps no result that is None


@huey.task()
def mark(number: int) -> int:
    return work.mark(number)


_TASKS = {"add": add, "spin": spin, "nap": nap, "mark": mark}


def send(task: str, *args: Any) -> Any:
    return _TASKS[task](*args)


def get(handle: Any) -> Any:
    return handle.get(blocking=True, timeout=10, max_delay=0.001)
