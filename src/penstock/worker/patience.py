"""Trying again: a step that meets an outage is repeated until it goes through. Told once, not at every try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from penstock.core.errors import StorageError, Unavailable

T = TypeVar("T")

FIRST, LONGEST = 0.05, 1.0  #: seconds between tries: the first pause, doubling up to the longest


Outages = tuple[type[Exception], ...]
OUTAGES: Outages = (Unavailable, StorageError)  #: a full disk is freed, a server comes back


class Patience:
    """What one loop knows of an outage: how long to pause, and whether it has been told."""

    def __init__(
        self,
        what: str,
        log: logging.Logger,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        outages: Outages = OUTAGES,
    ) -> None:
        self.outages = outages
        self.what = what  #: e.g. "fetching": for the log
        self.log = log
        self.sleep = sleep
        self._pause = 0.0

    @property
    def troubled(self) -> bool:
        """The last try failed."""
        return self._pause > 0

    async def wait(self, outage: Exception) -> None:
        """A try failed: say so if it is the first, and pause before the next."""
        if not self.troubled:
            self.log.warning("%s: %s; trying again until it works", self.what, outage)
        self._pause = min(self._pause * 2, LONGEST) or FIRST
        await self.sleep(self._pause)

    def over(self) -> None:
        """A try went through."""
        if self.troubled:
            self.log.info("%s works again", self.what)
            self._pause = 0.0

    async def run(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat `attempt` until it goes through. Raises whatever is not an outage."""
        while True:
            try:
                result = await attempt()
            except self.outages as outage:
                await self.wait(outage)
            else:
                self.over()
                return result
