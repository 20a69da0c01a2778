"""The look at what runs and what waits, four times a second while anything is held; never while idle.

Marks STARTED what has run for a second, parks what runs for very long, hands back what waits behind slow tasks, and
corrects the reckoning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from penstock.worker.errands import Errands
from penstock.worker.floor import Floor
from penstock.worker.job import Job
from penstock.worker.load import HORIZON
from penstock.worker.returns import Returns
from penstock.worker.start import Starter

TICK = 0.25  #: seconds between two looks
MARK_AFTER = 1.0  #: seconds of running after which a first delivery is marked STARTED
HOLD = 0.5  #: seconds that a message may wait behind slow ones
HOLD_SUSPECT = 2.0  #: the same for a suspect, which waits for its turn


class Watch:
    """Looks after the jobs on one floor. `changed` is called after each look."""

    def __init__(
        self,
        floor: Floor,
        starter: Starter,
        returns: Returns,
        changed: Callable[[], None],
        monotonic: Callable[[], float],
        *,
        park_after: float,
    ) -> None:
        self.park_after = park_after
        self.floor = floor
        self.starter = starter
        self.returns = returns
        self.changed = changed
        self.monotonic = monotonic
        self._armed = False
        self._parking = False
        self._errands = Errands()

    def arm(self) -> None:
        """Something is held: look from now on."""
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_later(TICK, self._tick)

    def look(self) -> None:
        """One look."""
        now = self.monotonic()
        long, endless = [], []
        for job in self.floor.running():
            elapsed = now - job.begun
            if elapsed >= self.park_after and job.marked and not job.parked and not job.session.consumer.lasting:
                endless.append(job)
            if elapsed > HORIZON:
                self.floor.block(job)
            if elapsed >= MARK_AFTER and not job.marked:
                long.append(job)
        if long:
            self._errands.send(self.starter.note(long))
        if endless and not self._parking:
            self._parking = True
            self._errands.send(self._park(endless))
        if late := self.floor.withdraw(now - HOLD, now - HOLD_SUSPECT):
            self._errands.send(self.returns.hand_back(late))
        self.changed()

    async def _park(self, jobs: Sequence[Job]) -> None:
        try:
            await self.starter.park(jobs)
        finally:
            self._parking = False

    def _tick(self) -> None:
        self._armed = False
        if self.floor.held:
            self.look()
            self.arm()
