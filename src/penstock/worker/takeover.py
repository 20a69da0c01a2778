"""Taking over from the dead: what a process held that has not renewed its lease is for others.

The time of a lease alone condemns nobody. A store can stand still (a task that takes the GIL in the middle of its
process's write transaction, a server that is frozen or starts again), and then every lease runs out at once. So a
lease is only suspected at first; it is condemned when it was not renewed for `chance` seconds in which its holder could
have renewed it, because this process's own writes went through.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from penstock.client.backends import Backends
from penstock.core.step import commit

log = logging.getLogger("penstock.worker.sweeps")

BRIEFLY = 2.0  #: seconds that the lock for taking over is held: whoever has it may die, too
SHORTEST = 1.0  #: seconds of a holder's chance, however often it renews: a busy machine may let it wait as long


class Takeover:
    """One worker's suspicions. Seconds; `lease` and `renewal` are what all workers are set to."""

    def __init__(
        self,
        backends: Backends,
        worker: str,
        lease: float,
        renewal: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backends = backends
        self.worker = worker
        self.ahead = max(0.0, lease - 1.5 * renewal)  #: less time is left only to one whose renewal is late
        self.chance = max(2 * renewal, SHORTEST)
        self.every = min(1.0, lease / 4)  #: seconds between two looks
        self._monotonic = monotonic
        self._suspects: dict[str, float] = {}  # since when (monotonic) they could have renewed and did not
        self._looked = -math.inf

    async def look(self) -> None:
        """Condemn those whose chance is over, and have redelivered what they held."""
        suspects, self._suspects = self._suspects, {}  # forgotten if this look fails: the store was away
        late = await self.backends.results.leases.lapsed(self.ahead)
        if not late:
            return
        began = self._monotonic()
        mine = await self.backends.results.keys.lock("sweep:lapsed", self.worker, BRIEFLY)  # and the proof of a write
        now = self._monotonic()
        if now - began > self.chance or began - self._looked > self.chance:
            suspects = {}  # the store stood still, or this process did
        self._looked = now
        self._suspects = {lease: suspects.get(lease, now) for lease in late}
        due = [lease for lease, since in self._suspects.items() if began - since >= self.chance]
        if mine and due:
            await self._take(due)

    async def _take(self, due: list[str]) -> None:
        leases = self.backends.results.leases
        dead = await leases.condemn(due)  # not those that have time left, or were renewed this very moment
        if dead:
            released, _ = await commit(self.backends.broker.release(dead), leases.close(dead))
            log.warning("took over from %d dead processes: redelivering %d messages", len(dead), len(released))
