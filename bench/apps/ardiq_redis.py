"""ArdiQ on the Redis of the environment."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import asyncio
import atexit
import os
from collections.abc import Sequence
from typing import Any

from ardiq import Ardiq

from bench.apps import work

atexit.register(os._exit, 0)  # as its own command does: the Rust core may crash while Python is taken down
# the README's table of settings: concurrency, with a prefetch of twice that; results are kept by default
app = Ardiq(redis_url=os.environ["BENCH_URL"], concurrency=int(os.environ.get("BENCH_SLOTS", "100")))


@app.task
async def add(x: int, y: int) -> int:
    return work.add(x, y)


@app.task
async def spin(seconds: float) -> bool:
    return work.spin(seconds)


@app.task
async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)


@app.task
async def mark(number: int) -> int:
    return work.mark(number)


_TASKS = {"add": add, "spin": spin, "nap": nap, "mark": mark}


async def asend(task: str, *args: Any) -> Any:
    return await _TASKS[task].enqueue(*args)


async def asend_many(task: str, many: Sequence[Sequence[Any]]) -> None:
    await app.enqueue_many([_TASKS[task].prepare(*args) for args in many])


async def aget(handle: Any) -> Any:
    return await handle.result(timeout=10)
