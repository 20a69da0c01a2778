"""The sweeps: what nobody else will do. Any worker may; a lock sees to it that one does.

Ends what expired while it waited, publishes again what was never confirmed, and forgets what is older than anybody
wants to know. Taking over from the dead is takeover.py's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from penstock.client.backends import Backends
from penstock.core.broker import Withdrawal
from penstock.core.settings import Settings
from penstock.core.step import Step, commit, follow

log = logging.getLogger("penstock.worker.sweeps")

OFTEN = 10.0  #: seconds between looks for expired and unconfirmed tasks
SELDOM = 60.0  #: seconds between clearances
UNCLEAR = 5.0  #: seconds within which a run that has begun is certainly marked as started
UNCONFIRMED = 30.0  #: seconds after which a publish without confirmation is repeated (DESIGN §6.1)
_SOME = 100  # tasks that are dealt with in one go
_MANY = 1000  # records that are deleted in one write


class Sweeps:
    """The sweeps of one worker. Each looks first, and takes the lock only if there is something to do."""

    def __init__(
        self, backends: Backends, settings: Settings, worker: str, clock: Callable[[], float] = time.time
    ) -> None:
        self.clock = clock
        self.backends = backends
        self.settings = settings
        self.worker = worker

    async def often(self) -> None:
        """Expired and unconfirmed tasks."""
        records = self.backends.results.records
        if (expired := await records.expired(_SOME)) and await self._mine("expired"):
            found = await records.get(expired)
            for task_id in expired:
                expires = found[task_id].expires if task_id in found else None
                await self._expire(task_id, long_ago=expires is not None and expires < self.clock() - UNCLEAR)
        if (owed := await records.unconfirmed(UNCONFIRMED, _SOME)) and await self._mine("unconfirmed"):
            await commit(
                self.backends.broker.publish([record.message for record in owed]),
                records.confirm([record.task_id for record in owed]),
            )
            log.warning("published %d tasks again whose publish was never confirmed", len(owed))

    async def seldom(self) -> None:
        """Retention, and what has outlived its time."""
        if not await self._mine("clearance"):
            return
        settings, results = self.settings, self.backends.results
        prune = partial(results.records.prune, settings.result_expires, settings.max_records, _MANY)
        await self._orphans()
        pruned = await _all(prune, _MANY)
        if pruned:
            log.info("forgot %d records", pruned)
        await _all(results.keys.sweep, _MANY * 10)

    async def _orphans(self) -> None:
        """Messages claimed under leases that nobody knows: their holder was frozen, declared dead, and then died."""
        leases = self.backends.results.leases
        holders = await self.backends.broker.holders()
        lapsed = await leases.lapsed()
        unknown = [lease for lease in holders if lease not in lapsed and await leases.owner(lease) is None]
        if unknown:
            released = await self.backends.broker.release(unknown)
            log.warning("redelivering %d messages that nobody holds any more", len(released))

    async def _expire(self, task_id: str, long_ago: bool) -> None:
        """End a task that waits; one that a worker holds has begun, or will be checked there.

        Where nobody can say whether one holds it, it counts as waiting once it had the time to be marked as started.
        """
        records = self.backends.results.records

        def revoke(gone: Withdrawal) -> Step[dict[str, bool]]:
            waits = gone.lease is None and (gone.sure or long_ago)
            return records.revoke([task_id] if waits else [], "expired")

        await follow(self.backends.broker.withdraw(task_id), revoke, self.backends.results.driver)

    async def _mine(self, name: str) -> bool:
        return await self.backends.results.keys.lock(f"sweep:{name}", self.worker, SELDOM)


async def _all(some: Callable[[], Awaitable[int]], limit: int) -> int:
    """Repeat until less than `limit` was found; the sum."""
    total = 0
    while True:
        found = await some()
        total += found
        if found < limit:
            return total
