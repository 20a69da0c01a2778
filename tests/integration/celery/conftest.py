"""Fixtures of the tests with real Celery: every test of a `fleet` runs on each broker that both worlds speak."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.celery.kit import SHARED_QUEUES, Console, Fleet, fleet_of
from tests.places import BROKERS

#: brokers that Celery has, too
SHARED = tuple(name for name in BROKERS if name in {"redis", "rabbitmq"})


@pytest.fixture(scope="session")
def console() -> Iterator[Console]:
    """A Celery client. One for all: it takes a second to start."""
    made = Console()
    yield made
    made.close()


@pytest.fixture(params=SHARED)
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Fleet:
    """An empty place that Celery and Penstock share, for one test."""
    return fleet_of(request.param, request, tmp_path)


@pytest.fixture(params=SHARED)
def mixed(request: pytest.FixtureRequest, tmp_path: Path) -> Fleet:
    """A fleet whose queues Celery's workers read, and Penstock is told so."""
    made = fleet_of(request.param, request, tmp_path)
    made.options = SHARED_QUEUES[made.kind]
    return made


@pytest.fixture(params=SHARED, scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One with a worker of ours, for the tests of a module that do not mind one another."""
    made = fleet_of(request.param, request, tmp_path_factory.mktemp("served"))
    with made.worker():
        yield made
