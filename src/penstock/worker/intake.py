"""The fetch loop: asks for the next batch while the last one runs, for as much as there is room for.

Survives every outage of the broker, and goes on within a second of its return.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from penstock.core.message import Delivery
from penstock.worker.patience import OUTAGES, Patience
from penstock.worker.session import Session

log = logging.getLogger("penstock.worker.intake")

BEAT = 5.0  #: seconds after which a waiting fetch is asked to return, so that a silent connection shows


class Intake:
    """Fetches for one session at a time. `fetched` is called after each fetch that worked, and while none is wanted.

    While `busy` says that a write is certain to begin soon, a fetch waits for it (`join`) to share its transaction.
    """

    def __init__(
        self,
        room: Callable[[], int],
        take: Callable[[Sequence[Delivery], Session], None],
        fetched: Callable[[], None],
        busy: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.room = room
        self.take = take
        self.fetched = fetched
        self.busy = busy
        self.patience = Patience("fetching", log, sleep)
        self.session: Session | None = None
        self.stopped = False
        self._changed = asyncio.Event()
        self._joining = False
        self._returned = asyncio.Event()
        self._returned.set()

    @property
    def fetching(self) -> bool:
        """A fetch is in flight, perhaps waiting for a message."""
        return not self._returned.is_set()

    def begin(self, session: Session) -> None:
        """Fetch under this lease from now on."""
        self.session = session
        self._changed.set()

    def changed(self) -> None:
        """There may be more room, or none left: look again."""
        self._changed.set()
        if self.fetching and self.session is not None and self.room() <= 0:
            self.session.consumer.nudge()

    def join(self) -> None:
        """A write begins."""
        self._joining = True
        self._changed.set()

    def beat(self) -> None:
        """Every BEAT seconds: prove that fetching works; one that is not wanted cannot fail."""
        if self.fetching and self.session is not None:
            self.session.consumer.nudge()
        elif not self.patience.troubled:
            self.fetched()

    async def stop(self) -> None:
        """Fetch nothing more."""
        self.stopped = True
        self._changed.set()
        if self.session is not None:
            await self.session.consumer.stop()

    async def returned(self) -> None:
        """Wait until no fetch is in flight."""
        await self._returned.wait()

    async def run(self) -> None:
        """Fetch until stopped."""
        while not self.stopped:
            self._changed.clear()
            session, limit = self.session, self.room()
            if session is None or not session.alive or limit <= 0 or (self.busy() and not self._joining):
                await self._changed.wait()
            else:
                self._joining = False
                await self._fetch(session, limit)

    async def _fetch(self, session: Session, limit: int) -> None:
        self._returned.clear()
        try:
            deliveries = await session.consumer.fetch(limit)
        except OUTAGES as outage:
            self._returned.set()
            await self.patience.wait(outage)
            return
        self._returned.set()
        self.patience.over()
        self.fetched()
        if deliveries and session.alive:  # else the lease was lost meanwhile, and these are released with the others
            self.take(deliveries, session)
