"""What the handlers of one server process share: the app, its back ends, and what is kept between requests."""

from __future__ import annotations

import asyncio
import difflib
import logging
import time
from collections.abc import Callable
from typing import Any

from penstock.api.digest import Digest
from penstock.api.feed import Feed
from penstock.api.keys import KeyRing
from penstock.api.limit import Meter
from penstock.api.pulse import Pulse
from penstock.api.route import Route
from penstock.api.tally import Tally
from penstock.client import operations
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.client.submit import Submitter
from penstock.core.errors import Unavailable, UnknownTask

log = logging.getLogger("penstock.api")

KNOWN_FOR = 1.0  # seconds that the list of workers' tasks is kept
NEAR = 3  # similar names to offer for one that is not known

Schemas = dict[str, dict[str, Any]]


class Site:
    """One process's share of the server."""

    def __init__(
        self,
        app: Penstock,
        backends: Backends,
        routes: tuple[Route, ...],
        keyring: KeyRing,
        *,
        meter: Meter | None = None,
        tally: Tally | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.app = app
        self.routes = routes
        self.settings = app.settings
        self.backends = backends
        self.keyring = keyring
        self.meter = meter
        self.tally = tally or Tally(routes)
        self.clock = clock
        self.submitter = Submitter(backends)
        self.feed = Feed(backends.results.records)
        self.digest = Digest(backends.results.records)
        self.pulse = Pulse(backends)
        self.tasks = KnownTasks(app, backends)
        self.home = "/docs"  #: where / leads to
        self.closing = False
        self._opening: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Open the back ends. One that cannot be reached yet is tried again while requests already get their 503.

        Opening twice is fine. Raises StorageError, which does not pass by itself.
        """
        if self._opening is not None:
            return
        try:
            await self.backends.open()
        except Unavailable as outage:
            log.warning("started without its back end: %s", outage)
            self._opening = asyncio.create_task(self._open_later(outage.retry_after), name="open")

    async def _open_later(self, pause: float) -> None:
        while True:
            await asyncio.sleep(max(pause, 0.1))
            try:
                await self.backends.open()
            except Unavailable:
                continue
            log.warning("the back end is there")
            return

    def drain(self) -> None:
        """Shutting down: streams end and waits are answered now; requests in flight may finish."""
        self.closing = True
        self.feed.close()
        self.digest.close()

    async def close(self) -> None:
        """Let go of everything."""
        self.drain()
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        await self.pulse.stop()
        await self.feed.stop()
        await self.digest.stop()
        await self.submitter.close()
        await self.backends.close()


class KnownTasks:
    """The names and argument schemas of the tasks in this app and at live workers."""

    def __init__(self, app: Penstock, backends: Backends, clock: Callable[[], float] = time.monotonic) -> None:
        self.app = app
        self.backends = backends
        self.clock = clock
        self._kept: Schemas = {}
        self._until = float("-inf")
        self._asking: asyncio.Task[Schemas] | None = None

    async def all(self) -> Schemas:
        """Argument schemas by name, at most a second old. Raises Unavailable."""
        if self.clock() < self._until:
            return self._kept
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(), name="known tasks")
        # shielded: whoever goes away must not take the answer from the others who wait for it
        return await asyncio.shield(self._asking)

    def has(self, name: str) -> bool:
        """Whether there is a task of this name, as far as is known without asking."""
        return name in self.app.tasks or name in self._kept

    async def _ask(self) -> Schemas:
        try:
            self._kept = await operations.known_tasks(self.app, self.backends)
            self._until = self.clock() + KNOWN_FOR
            return self._kept
        finally:
            self._asking = None

    async def schema(self, name: str) -> dict[str, Any]:
        """The argument schema of a task that this app does not have itself. Raises UnknownTask, Unavailable."""
        known = await self.all()
        if name not in known:
            raise UnknownTask(name, difflib.get_close_matches(name, known, NEAR))
        return known[name]
