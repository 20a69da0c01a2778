"""Every broker passes every suite of the contract whole."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from penstock.core.broker import Broker
from penstock.core.step import Step
from penstock.testing.conformance.broker import DURABLE, SUITES
from tests.places import BROKERS, Place, durable, place

globals().update(SUITES)
globals().update(DURABLE)


def fail(_store: object) -> None:
    raise LookupError


class Harness:
    """A store by its URL, with a clock that can be put forward."""

    quiet = 0.05

    def __init__(self, where: Place) -> None:
        self.url = where.url
        self.opener = f"{where.module('brokers').__name__}:open_broker"
        self._open = where.module("brokers").open_broker
        self._ahead = 0.0

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Broker]:
        broker: Broker = self._open(self.url, clock=self.now)
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


class Waiting(Harness):
    """A store behind a server with a clock of its own, which wakes sleepers by messages."""

    quiet = 0.3

    async def elapse(self, seconds: float) -> None:
        await asyncio.sleep(seconds + 1.5)  # delays are rounded up to whole seconds


def harnessed(request: pytest.FixtureRequest) -> Harness:
    where = place(request.param, request)
    return Waiting(where) if where.name in SERVED else Harness(where)


#: RabbitMQ finds a message by taking it, and gives back by itself what a lost connection held
SERVED = ("rabbitmq",)
OWN = tuple(name for name in BROKERS if name not in SERVED)

harness = pytest.fixture(params=BROKERS, name="harness")(harnessed)
durable_harness = pytest.fixture(params=durable(BROKERS), name="durable")(harnessed)
searchable = pytest.fixture(params=OWN, name="searchable")(harnessed)
keeping = pytest.fixture(params=durable(OWN), name="keeping")(harnessed)
