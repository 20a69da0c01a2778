"""Telling the history: each child the runs that it recorded, one keeper of all how full the queues are.

It is told every few seconds, and not on the way of any task; what a killed process had not told yet is missing from
the charts, and from nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from penstock.client import history
from penstock.client.backends import Backends
from penstock.core.errors import PenstockError
from penstock.core.history import Chronicle, Depth
from penstock.worker.job import Job

log = logging.getLogger("penstock.worker.chronicler")

EVERY = 10  #: seconds between two tellings
SAMPLE = 30.0  #: seconds between two looks at the queues


class Chronicler:
    """Counts what one process sees, and tells it."""

    def __init__(self, backends: Backends, clock: Callable[[], float] = time.time) -> None:
        self.backends = backends
        self.clock = clock
        self.chronicle = Chronicle()

    def count(self, jobs: Sequence[Job]) -> None:
        """These are recorded."""
        self.chronicle.count((job.ending for job in jobs if job.ending is not None), self.clock())

    async def tell(self) -> None:
        """Add what was counted to the history. An outage costs the charts some minutes, and nobody else anything."""
        try:
            await history.add(self.backends, self.chronicle.taken())
        except PenstockError as fault:
            log.info("some of the history is not written: %s", fault)

    async def sample(self, worker: str) -> None:
        """Look how full the queues are, if no other worker does."""
        if not await self.backends.results.keys.lock("history", worker, 1.5 * SAMPLE):
            return
        now = self.clock()
        depths = {
            depth.name: Depth(depth.ready, 0.0 if depth.oldest is None else max(0.0, round(now - depth.oldest, 3)))
            for depth in await self.backends.broker.depth()
        }
        self.chronicle.depths(depths, now)
        await self.tell()
