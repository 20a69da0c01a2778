"""SAQ on the Redis of the environment."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

from saq import Queue

from bench.apps import work

queue = Queue.from_url(os.environ["BENCH_URL"])


async def add(_context: Any, *, args: Sequence[int]) -> int:
    return work.add(*args)


async def spin(_context: Any, *, args: Sequence[float]) -> bool:
    return work.spin(*args)


async def nap(_context: Any, *, args: Sequence[float]) -> None:
    await asyncio.sleep(*args)


async def mark(_context: Any, *, args: Sequence[int]) -> int:
    return work.mark(*args)


# https://saq-py.readthedocs.io/en/latest/getting_started.html: `concurrency` is its setting for throughput
settings = {
    "queue": queue,
    "functions": [add, spin, nap, mark],
    "concurrency": int(os.environ.get("BENCH_SLOTS", "100")),
}


async def asend(task: str, *args: Any) -> Any:
    return await queue.enqueue(task, args=args)


async def aget(handle: Any) -> Any:
    """As `Queue.apply` waits, which looks twice a second: `refresh(until_complete)` misses what ends too soon."""
    async with asyncio.timeout(10):
        while not handle.completed:
            await asyncio.sleep(0.001)
            await handle.refresh()
    return handle.result
