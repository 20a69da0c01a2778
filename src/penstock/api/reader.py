"""Something that reads the feed of changes in the background of a process while anybody wants it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from penstock.core.results import Records, Watch


class Reader(ABC):
    """Begins to read when it is started, and leaves off by itself; then it may be started again."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.position = 0  #: how far in the feed it is
        self.closed = False
        self._left = 0.0  # when the last listener went away, by the loop's clock
        self._watch: Watch | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Read, from now on, unless it is read already. Raises Unavailable if it cannot be."""
        async with self._starting:
            if self._reader is not None and not self._reader.done():
                return
            if self._watch is None:
                self._watch = self.records.watch()
            self.position = await self._newest()
            self._left = asyncio.get_running_loop().time()
            self._reader = asyncio.create_task(self._read(self._watch), name=type(self).__name__.lower())

    def close(self) -> None:
        """Let everybody who listens go; those that come later get nothing."""
        self.closed = True

    async def stop(self) -> None:
        """Close, and let go of the reader."""
        self.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
            self._reader = None
        if self._watch is not None:
            await self._watch.close()
            self._watch = None

    async def _newest(self) -> int:
        newest = await self.records.changes(None)
        return newest[-1].seq if newest else 0

    @abstractmethod
    async def _read(self, watch: Watch) -> None:
        """Read until nobody has listened for a while."""
