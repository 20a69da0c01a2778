"""Where messages and records can be kept: the back ends by name, and an empty place in each for every test.

What the table of URL schemes in penstock.client.backends knows is what the tests run on: nobody has to remember to add
a back end to a suite.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from penstock.client import backends
from penstock.core.ids import new_id

_SCHEMES = {
    "memory": "memory",
    "sqlite": "sqlite",
    "redis": "redis",
    "rabbitmq": "amqp",
    "postgres": "postgresql",
}
_KINDS = {name: backends._KINDS[scheme] for name, scheme in _SCHEMES.items() if scheme in backends._KINDS}


@dataclass(frozen=True, slots=True)
class Place:
    """An empty place of a back end."""

    name: str
    url: str

    def module(self, layer: str) -> ModuleType:
        """The back end's module in `layer`: drivers, brokers or results."""
        return import_module(f"penstock.{layer}.{_KINDS[self.name].module}")


#: the names of all brokers, and of all result backends
BROKERS = tuple(_KINDS)
RESULTS = tuple(name for name, kind in _KINDS.items() if kind.records)


def place(name: str, request: pytest.FixtureRequest) -> Place:
    """An empty place, for this test alone."""
    match name:
        case "memory":
            return Place(name, f"memory://{new_id()}")
        case "sqlite":
            folder: Path = request.getfixturevalue("tmp_path")
            return Place(name, f"sqlite:///{folder}/{new_id()}.db")
        case _:
            url: str = request.getfixturevalue(f"{name}_server").fresh()
            return Place(name, url)


def settings(name: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of an empty place on a broker; one that keeps no records has them in SQLite."""
    found = {"PENSTOCK_BROKER_URL": place(name, request).url}
    return found if name in RESULTS else {**found, "PENSTOCK_RESULT_BACKEND": place("sqlite", request).url}


def durable(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those that outlive a process."""
    return tuple(name for name in names if name != "memory")
