"""What a result backend brings to its conformance tests: a fresh store for each test, time on demand."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from penstock.core.results import ResultBackend


class Harness(Protocol):
    """One store, empty at the start of a test, to be opened as often as the test wants."""

    def results(self) -> AbstractAsyncContextManager[ResultBackend]:
        """A back end on the store, open; closed on leaving. Each is like one of another process."""

    def now(self) -> float:
        """The time by the store's clock, unix seconds."""

    async def elapse(self, seconds: float) -> None:
        """Let time pass for the store: by moving its clock or, where that cannot be, by waiting."""


class DurableHarness(Harness, Protocol):
    """A store that other processes can open too. Its clock is the real one."""

    #: "module:function": called with `url` in another process it returns a back end that is not open yet
    opener: str
    url: str
