"""Taskiq on the RabbitMQ of the environment (a durable quorum queue, its default), with its results in Redis."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import asyncio
import os
from typing import Any

from taskiq_aio_pika import AioPikaBroker
from taskiq_redis import RedisAsyncResultBackend

from bench.apps import work

broker = AioPikaBroker(os.environ["BENCH_URL"], qos=200).with_result_backend(
    RedisAsyncResultBackend(os.environ["BENCH_RESULTS"], result_ex_time=86_400)
)
_opened = False


@broker.task
async def add(x: int, y: int) -> int:
    return work.add(x, y)


@broker.task
async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)


@broker.task
async def mark(number: int) -> int:
    return work.mark(number)


_TASKS = {"add": add, "nap": nap, "mark": mark}


async def asend(task: str, *args: Any) -> Any:
    global _opened  # noqa: PLW0603 - one program, one broker
    if not _opened:
        await broker.startup()
        _opened = True
    return await _TASKS[task].kiq(*args)


async def aget(handle: Any) -> Any:
    return (await handle.wait_result(check_interval=0.001, timeout=10)).return_value
