"""Where the feed of changes stands: looked at once a second at most, for however many who want to hear of news.

What happened is not read, only how far the feed has come: ten thousand changes a second cost what one does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from penstock.api.reader import Reader
from penstock.core.errors import StorageError, Unavailable
from penstock.core.results import Records, Watch

log = logging.getLogger("penstock.api")

PAUSE = 1.0  # seconds between two looks
IDLE = 5.0  # seconds after which it is looked even if nothing woke us, and nobody needs to listen any more


class Digest(Reader):
    """One process's look at the feed. `position` is the number of the newest change."""

    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self._listeners = 0
        self._news = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Somebody wants to hear of news. Raises Unavailable if the feed cannot be read."""
        await self.start()
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1
            self._left = asyncio.get_running_loop().time()

    async def after(self, seen: int | None, timeout: float) -> int:
        """The position as soon as it is another than `seen`, or as it is after `timeout` seconds or when closed."""
        try:
            async with asyncio.timeout(timeout):
                while self.position == seen and not self.closed:
                    await self._news.wait()
        except TimeoutError:
            pass
        return self.position

    def close(self) -> None:
        """Let everybody who listens go."""
        super().close()
        self._tell()

    async def _read(self, watch: Watch) -> None:
        """Look until nobody has listened for a while."""
        while self._listeners or asyncio.get_running_loop().time() - self._left <= IDLE:
            try:
                await watch.wait(IDLE)
                position = await self._newest()
            except (Unavailable, StorageError) as outage:
                log.warning("the feed of changes cannot be read: %s", outage)
                position = self.position
            if position != self.position:
                self.position = position
                self._tell()
            await asyncio.sleep(PAUSE)

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
