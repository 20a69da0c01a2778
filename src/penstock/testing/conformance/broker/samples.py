"""Messages for the tests to play with, and ways to fetch them that never hang."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from penstock.core.broker import Broker, Consumer, QueueDepth
from penstock.core.ids import new_id
from penstock.core.message import Delivery, Message
from penstock.testing.conformance.broker.harness import Harness

#: seconds; no test waits longer for something that must come
PATIENCE = 20.0
#: seconds; far more than a wake-up takes on a busy machine, and less than the period of any polling
PROMPT = 0.6


def task(name: str = "", *, queue: str = "default", priority: int = 0, due: float | None = None) -> Message:
    """A message of a task whose id is `name`; as short as one can be."""
    properties = {"correlation_id": name, "content_type": "application/json", "content_encoding": "utf-8"}
    headers = {"id": name or new_id(), "task": "add", "lang": "py"}
    return Message(b"[[2, 3], {}, {}]", headers, properties, queue, priority, due)


def tasks(names: str, **given: Any) -> list[Message]:
    """Messages of tasks called by the words of `names`."""
    return [task(name, **given) for name in names.split()]


def names(deliveries: Sequence[Delivery]) -> str:
    """The ids of what was delivered, parted by blanks."""
    return " ".join(delivery.message.task_id for delivery in deliveries)


async def fetch(consumer: Consumer, limit: int = 100) -> list[Delivery]:
    """A batch; fails if none comes."""
    async with asyncio.timeout(PATIENCE):
        return await consumer.fetch(limit)


async def gather(consumer: Consumer, count: int, limit: int = 100) -> list[Delivery]:
    """`count` messages, in as many batches as it takes; what is fetched stays claimed."""
    found: list[Delivery] = []
    while len(found) < count:
        found += await fetch(consumer, min(limit, count - len(found)))
    return found


async def nothing(harness: Harness, consumer: Consumer) -> bool:
    """Whether a fetch finds nothing now."""
    fetching = asyncio.create_task(consumer.fetch(100))
    await asyncio.sleep(harness.quiet)
    consumer.nudge()
    async with asyncio.timeout(PATIENCE):
        return await fetching == []


async def depth(broker: Broker, queue: str = "default") -> QueueDepth:
    """The depth of one queue."""
    [found] = await broker.depth([queue])
    return found


def told(count: int | None, expected: int) -> bool:
    """Whether a count is right, where the server tells it."""
    return count is None or count == expected


@asynccontextmanager
async def consumer(broker: Broker, *queues: str, lease: str = "lease") -> AsyncIterator[Consumer]:
    """A consumer of `queues` (the default queue), stopped on leaving."""
    taker = broker.consume(queues or ["default"], lease)
    try:
        yield taker
    finally:
        await taker.stop()


@asynccontextmanager
async def sleeping(harness: Harness, taker: Consumer) -> AsyncIterator[asyncio.Task[list[Delivery]]]:
    """A fetch that found nothing and sleeps; it must end within the block."""
    fetching = asyncio.create_task(taker.fetch(100))
    await asyncio.sleep(harness.quiet)
    assert not fetching.done()
    async with asyncio.timeout(PATIENCE):
        yield fetching
        await fetching


@asynccontextmanager
async def promptly() -> AsyncIterator[None]:
    """What happens within the block is not left to a poll or to a safety net."""
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < PROMPT
