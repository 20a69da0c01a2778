"""Every result backend passes every suite of the contracts whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock.core.ids import new_id
from penstock.core.results import ResultBackend
from penstock.results.memory import open_results as open_memory
from penstock.results.sqlite import open_results as open_sqlite
from penstock.testing.conformance.results import DURABLE, SUITES
from penstock.testing.conformance.results.harness import DurableHarness, Harness


class Movable:
    """A store whose clock is moved by hand."""

    def __init__(self, url: str, open_results: Callable[..., ResultBackend]) -> None:
        self.url = url
        self._open_results = open_results
        self._moved = time.time()

    @asynccontextmanager
    async def results(self) -> AsyncIterator[ResultBackend]:
        results = self._open_results(self.url, clock=self.now)
        await results.open()
        try:
            yield results
        finally:
            await results.close()

    def now(self) -> float:
        return self._moved

    async def elapse(self, seconds: float) -> None:
        self._moved += seconds


class Durable(Movable):
    """A store that other processes share, so its clock is everybody's."""

    def __init__(self, url: str, open_results: Callable[..., ResultBackend]) -> None:
        super().__init__(url, open_results)
        self.opener = f"{open_results.__module__}:{open_results.__name__}"

    def now(self) -> float:
        return time.time()

    async def elapse(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture(params=["memory", "sqlite"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Harness:
    if request.param == "memory":
        return Movable(f"memory://{new_id()}", open_memory)
    return Movable(f"sqlite:///{tmp_path}/results.db", open_sqlite)


@pytest.fixture(params=["sqlite"])
def durable(tmp_path: Path) -> DurableHarness:
    return Durable(f"sqlite:///{tmp_path}/results.db", open_sqlite)


globals().update(SUITES, **DURABLE)
