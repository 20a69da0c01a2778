"""An app in memory behind its API, and a stand-in for its worker: what the tests of the API share."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Self

import httpx

from penstock.api.application import Application, create
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.errors import Unavailable
from penstock.core.failure import encode_failure
from penstock.core.message import Delivery
from penstock.core.record import Ending, Filter, Start, WorkerInfo
from penstock.core.step import Step, commit

LEASE = "lease-of-the-test"
WORKER = "w@test"
NOW = 1_800_000_000.0

_names = itertools.count()


def _in_memory() -> dict[str, Any]:
    return {"broker": f"memory://api-test-{next(_names)}"}


#: makes an empty place for each shop, as arguments of its app; other rings of the tests have others
PLACE: ContextVar[Callable[[], dict[str, Any]]] = ContextVar("PLACE", default=_in_memory)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


class Shop:
    """An app with some tasks, its API, and a client of it. `async with` opens and closes it."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.app = Penstock("shop", **PLACE.get()(), clock=self.clock, **settings)
        _register(self.app)
        self.backends: Backends = self.app.backends()
        self.api: Application = create(self.app, self.backends)
        transport = httpx.ASGITransport(self.api)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://localhost")

    async def __aenter__(self) -> Self:
        await self.api.site.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.api.site.close()

    async def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        """One request."""
        return await self.client.request(method, path, **request)

    async def submit(self, task: str = "add", *args: Any, **options: Any) -> str:
        """Queue a task over HTTP; its id."""
        answer = await self("POST", "/tasks", json={"task": task, "args": list(args) or [2, 3], **options})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    async def show(self, task_id: str) -> dict[str, Any]:
        """The task as the API shows it."""
        answer = await self("GET", f"/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def claim(self, queue: str = "default", limit: int = 100) -> list[Delivery]:
        """Take messages as a worker does."""
        await self.backends.results.leases.open(LEASE, WORKER, 60.0)
        return await self.backends.broker.consume([queue], LEASE).fetch(limit)

    async def start(self, delivery: Delivery) -> None:
        """Mark a run as begun."""
        start = Start(delivery=delivery, worker=WORKER, pid=7, started_at=self.clock(), deliveries=1)
        assert await self.backends.results.records.start([start], LEASE) == [True]

    async def finish(self, delivery: Delivery, result: bytes = b"5", error: Exception | None = None) -> None:
        """Record how a run ended, and settle it."""
        ending = Ending(
            delivery=delivery,
            state="SUCCESS" if error is None else "FAILURE",
            finished_at=self.clock() + 0.25,
            started_at=self.clock(),
            worker=WORKER,
            pid=7,
            result=result if error is None else encode_failure(error),
            traceback=None if error is None else f"Traceback …\n{error!r}",
        )
        consumer = self.backends.broker.consume([delivery.message.queue], LEASE)
        written, _ = await commit(self.backends.results.records.finish([ending], LEASE), consumer.settle([delivery]))
        assert written == [True]

    async def work(self, error: Exception | None = None, result: bytes = b"5") -> int:
        """Take what waits and end all of it; how many that were."""
        deliveries = await self.claim()
        for delivery in deliveries:
            await self.finish(delivery, result, error)
        return len(deliveries)

    async def hire(
        self, tasks: Mapping[str, dict[str, Any]] | None = None, queues: Sequence[str] = ("default",)
    ) -> None:
        """Let a worker register."""
        info = WorkerInfo(
            name=WORKER, host="test", pid=7, started_at=self.clock(), queues=list(queues), processes=2, threads=8,
            concurrency=100, version="1", tasks=dict(tasks or {}), seen_at=self.clock(),
        )  # fmt: skip
        await self.backends.results.workers.register(info, 60.0)

    async def until_queued(self) -> None:
        """Let requests in flight go on until one has queued a task."""
        async with asyncio.timeout(30):
            while not await self.backends.results.records.count(Filter()):  # noqa: ASYNC110 - requests go on meanwhile
                await asyncio.sleep(0)

    def cut_off(self) -> None:
        """From now on the server behind the API is away."""

        async def run(_: Sequence[Step[Any]]) -> list[Any]:
            raise Unavailable("the store is away", retry_after=2.5)

        self.backends.broker.driver.run = run  # type: ignore[method-assign, assignment]
        self.backends.results.driver.run = run  # type: ignore[method-assign, assignment]


def _register(app: Penstock) -> None:
    @app.task
    def add(x: int, y: int = 1) -> int:
        """Add two numbers."""
        return x + y

    @app.task
    def nothing() -> None: ...
