"""The whole HTTP suite of the unit tests again, with only the URLs changed: on every broker that outlives a process."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.places import BROKERS, RESULTS, durable, place
from tests.unit.api.shop import PLACE

_SUITE = Path(__file__).parents[1] / "unit" / "api"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("somewhere", durable(BROKERS), indirect=True)


@pytest.fixture(autouse=True)
def somewhere(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every shop of a test has a place of its own; a broker that keeps no records has them in SQLite."""

    def empty() -> dict[str, Any]:
        found = {"broker": place(request.param, request).url}
        return found if request.param in RESULTS else {**found, "result_backend": place("sqlite", request).url}

    before = PLACE.set(empty)
    yield
    PLACE.reset(before)


def _adopt(module: str) -> None:
    for name, test in vars(import_module(f"tests.unit.api.{module}")).items():
        if name.lower().startswith("test") and getattr(test, "__module__", "").endswith(module):
            own = f"Test_{module}_{name}" if inspect.isclass(test) else f"{module}_{name}"
            assert own not in globals(), own
            globals()[own] = test


for _file in sorted(_SUITE.glob("test_*.py")):
    _adopt(_file.stem)
