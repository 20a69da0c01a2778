"""Every result backend passes every suite of the contracts whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from penstock.core.results import ResultBackend
from penstock.testing.conformance.results import DURABLE, SUITES
from penstock.testing.conformance.results.harness import DurableHarness, Harness
from tests.places import RESULTS, Place, durable, place


class Movable:
    """A store whose clock is moved by hand."""

    def __init__(self, where: Place) -> None:
        self.url = where.url
        self.opener = f"{where.module('results').__name__}:open_results"
        self._open = where.module("results").open_results
        self._moved = time.time()

    @asynccontextmanager
    async def results(self) -> AsyncIterator[ResultBackend]:
        results: ResultBackend = self._open(self.url, clock=self.now)
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

    def now(self) -> float:
        return time.time()

    async def elapse(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@pytest.fixture(params=RESULTS)
def harness(request: pytest.FixtureRequest) -> Harness:
    return Movable(place(request.param, request))


@pytest.fixture(params=durable(RESULTS), name="durable")
def durable_harness(request: pytest.FixtureRequest) -> DurableHarness:
    return Durable(place(request.param, request))


globals().update(SUITES, **DURABLE)
