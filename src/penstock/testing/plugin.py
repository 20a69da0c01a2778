"""Fixtures for pytest, there for every project that has Penstock installed (entry point `pytest11`).

Nothing of Penstock is imported before a test asks for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from penstock.client.app import Penstock
    from penstock.testing.clock import Clock
    from penstock.testing.submissions import Submissions


def pytest_addoption(parser: pytest.Parser) -> None:
    """The app under test, for the fixtures."""
    parser.addini("penstock_app", "Penstock app for the penstock_* fixtures: module:attr or path/file.py[:attr]")


@pytest.fixture
def penstock_app(pytestconfig: pytest.Config) -> Penstock:
    """The app under test: that of the ini option `penstock_app`. Override this fixture to make one."""
    from penstock.client.loader import load_app

    path = str(pytestconfig.getini("penstock_app") or "")
    if not path:
        pytest.fail("name the app in pytest's configuration, penstock_app = module:attr, or override this fixture")
    return load_app(path)


@pytest.fixture
def penstock_memory(penstock_app: Penstock) -> Iterator[Clock]:
    """Has the app keep everything in memory for one test; its value is the clock that the app goes by."""
    from penstock.testing.isolation import memory

    with memory(penstock_app) as clock:
        yield clock


@pytest.fixture
def penstock_eager(penstock_app: Penstock) -> Iterator[Penstock]:
    """Has the app run each task at once where it is submitted."""
    from penstock.testing.isolation import eager

    with eager(penstock_app) as app:
        yield app


@pytest.fixture
def penstock_drain(penstock_app: Penstock, penstock_memory: Clock) -> Callable[..., list[Any]]:  # noqa: ARG001
    """`drain` for the app in memory: `penstock_drain()` runs what is queued."""
    from penstock.testing.draining import drain

    return partial(drain, penstock_app)


@pytest.fixture
def penstock_submitted(penstock_app: Penstock, request: pytest.FixtureRequest) -> Submissions:
    """What the test has submitted; the app is in memory, or eager if the test asks for that."""
    from penstock.testing.submissions import submitted

    if "penstock_eager" not in request.fixturenames:
        request.getfixturevalue("penstock_memory")
    return submitted(penstock_app)
