"""The broker contract, bound to SQLite and memory."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock.brokers.memory import open_broker as open_memory
from penstock.brokers.sqlite import open_broker as open_sqlite
from penstock.core.broker import Broker
from penstock.core.ids import new_id
from penstock.core.step import Step
from penstock.testing.conformance.broker import DURABLE, SUITES

globals().update(SUITES)
globals().update(DURABLE)


def fail(_store: object) -> None:
    raise LookupError


class Harness:
    """A store by its URL, with a clock that can be put forward."""

    quiet = 0.05

    def __init__(self, url: str, opener: Callable[..., Broker]) -> None:
        self.url = url
        self.opener = f"{opener.__module__}:{opener.__name__}"
        self._open = opener
        self._ahead = 0.0

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Broker]:
        broker = self._open(self.url, clock=self.now)
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()

    def now(self) -> float:
        return time.time() + self._ahead

    async def elapse(self, seconds: float) -> None:
        self._ahead += seconds

    def failing(self, broker: Broker) -> Step[None]:
        return Step(broker.driver, fail)


def sqlite(folder: Path) -> Harness:
    return Harness(f"sqlite:///{folder}/broker.db", open_sqlite)


def memory(_folder: Path) -> Harness:
    return Harness(f"memory://{new_id()}", open_memory)


@pytest.fixture(params=[sqlite, memory], ids=["sqlite", "memory"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    make: Callable[[Path], Harness] = request.param
    return make(tmp_path)


@pytest.fixture
def durable(tmp_path: Path) -> Harness:
    return sqlite(tmp_path)
