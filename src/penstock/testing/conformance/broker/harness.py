"""What a broker brings to its conformance tests: a fresh store for each test, and time that passes on demand."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from penstock.core.broker import Broker
from penstock.core.step import Step


class Harness(Protocol):
    """One store, empty at the start of a test, to be opened as often as the test wants."""

    #: seconds after which a fetch has certainly got what was there when it began
    quiet: float

    def broker(self) -> AbstractAsyncContextManager[Broker]:
        """A broker on the store, open; closed on leaving. Each is like one of another process."""

    def now(self) -> float:
        """The time by the store's clock, unix seconds. It passes by itself, too."""

    async def elapse(self, seconds: float) -> None:
        """Let time pass for the store: by moving its clock or, where that cannot be, by waiting.

        A fetch that sleeps meanwhile need not notice.
        """

    def failing(self, broker: Broker) -> Step[None]:
        """A step on the broker's driver that raises LookupError when it is run."""


class DurableHarness(Harness, Protocol):
    """A store that other processes can open too. Its clock is the real one."""

    #: "module:function": called with `url` in another process it returns a broker that is not open yet
    opener: str
    url: str
