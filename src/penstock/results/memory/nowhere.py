"""For raw messages where there is no result backend: nothing is recorded, and nothing needs to be.

Each process has its own. A claim ends with the connection that holds it, so a lease lives as long as whoever
took it out, and nobody can condemn it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from penstock.core.ids import new_id
from penstock.core.results import ResultBackend
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store, open_driver
from penstock.results.memory.backend import MemoryResults
from penstock.results.memory.leases import MemoryLeases

_FOR_EVER = 1e12  # seconds


class Unending(MemoryLeases):
    """Leases that need no renewal."""

    def open(self, lease: str, worker: str, seconds: float) -> Step[None]:  # noqa: ARG002
        """Take out a lease."""
        return super().open(lease, worker, _FOR_EVER)

    def renew(self, leases: Sequence[str], seconds: float) -> Step[list[str]]:  # noqa: ARG002
        """All are alive: those who look after them may be in another process."""
        return self._driver.read(_none)


def _none(store: Store) -> list[str]:  # noqa: ARG001
    return []


def open_nowhere(clock: Callable[[], float] = time.time) -> ResultBackend:
    """A result backend that forgets everything with its process."""
    driver = open_driver(f"memory://nowhere-{new_id()}", clock=clock)
    assert isinstance(driver, Memory)
    results = MemoryResults(driver)
    results.leases = Unending(driver)
    return results
