"""Parts for the worker's unit tests: jobs made by hand, a clock that is set, an app in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from penstock.client import operations
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.message import Delivery
from penstock.core.protocol import encode_task
from penstock.core.request import Request
from penstock.core.step import commit
from penstock.worker import slots
from penstock.worker.engine import Engine, Setup
from penstock.worker.job import Job
from penstock.worker.load import Kind
from penstock.worker.session import Session

_numbers = count()


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def app_in_memory(**options: Any) -> Penstock:
    """An app whose store no other test knows."""
    return Penstock("unit", broker=f"memory://unit-{next(_numbers)}", **options)


def delivery(task: str = "add", *args: Any, redelivered: bool = False, **headers: Any) -> Delivery:
    number = next(_numbers)
    given = {"task_id": f"id-{number}", "kwargs": {}, "queue": "default", **headers}
    return Delivery(encode_task(task=task, args=args, **given), number, redelivered)


def a_job(
    session: Any = None,
    *,
    is_async: bool = False,
    seconds: float | None = None,
    received: float = 0.0,
    deliveries: int = 1,
) -> Job:
    """A job that has been decoded and found."""
    made = delivery()
    job = Job(made, session, received)
    job.request = Request(id=made.message.task_id, task="add", args=[], kwargs={}, embed={}, headers={})
    job.kind = Kind(is_async, seconds)
    job.deliveries = deliveries
    return job


async def turns(number: int = 20) -> None:
    """Let the loop do what is ready."""
    for _ in range(number):
        await asyncio.sleep(0)


async def soon(probe: Callable[[], Any], within: float = 5.0) -> Any:
    """Wait, on the loop, until `probe` answers something true."""
    async with asyncio.timeout(within):
        while not (found := probe()):  # noqa: ASYNC110 - what is probed says nothing by itself
            await asyncio.sleep(0.001)
    return found


class Bench:
    """An engine on an app in memory, its lease open. What it tells is kept."""

    def __init__(
        self, app: Penstock, backends: Backends, threads: int = 2, concurrency: int = 10, **given: Any
    ) -> None:
        self.app = app
        self.backends = backends
        self.told: list[str] = []
        self.session: Session
        self.seat = slots.seats(1, 2 * threads + concurrency)[0]
        self.seat.renewed(float("inf"))
        setup = Setup(
            app=app,
            backends=backends,
            worker="w@h",
            seat=self.seat,
            threads=threads,
            concurrency=concurrency,
            quota=given.pop("quota", 0),
        )
        self.engine = Engine(
            setup,
            lost=lambda session: self.told.append(f"lost {session.lease}"),
            stuck=lambda job: self.told.append(f"stuck {job.task_id}"),
            broken=lambda error: self.told.append(f"broken {error!r}"),
            full=lambda: self.told.append("full"),
            **given,
        )

    async def open(self, lease: str = "lease") -> None:
        await self.backends.results.leases.open(lease, "w@h", 1000.0)
        session = Session(lease, self.backends.broker.consume(["default"], lease))
        self.session = session
        self.engine.begin(session)

    async def send(self, task: str, *args: Any, **options: Any) -> str:
        made = self.app.prepare(task, args, {}, options, check=False)
        await commit(self.backends.results.records.create([made.record]), self.backends.broker.publish([made.message]))
        return made.record.task_id

    async def ended(self, task_id: str) -> Any:
        [record] = (await operations.wait(self.backends, [task_id], timeout=5.0)).values()
        return record

    async def depth(self) -> int:
        queues = await self.backends.broker.depth()
        return sum(queue.ready + (queue.delayed or 0) + (queue.claimed or 0) for queue in queues)


async def on_bench(app: Penstock, test: Callable[[Bench], Awaitable[None]], **given: Any) -> None:
    """Run `test` with an engine that has begun, and end it in order."""
    async with app.backends() as backends:
        bench = Bench(app, backends, **given)
        bench.engine.start()
        await bench.open()
        try:
            await test(bench)
        finally:
            async with asyncio.timeout(5.0):
                await bench.engine.stop()
                await bench.engine.close()
        assert [told for told in bench.told if told.startswith("broken")] == []
