"""The leases' contract in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from penstock.core.errors import LeaseLost
from penstock.core.results import Leases
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store
from penstock.results.memory.rows import DEAD, RECORDS, Lease, Rows


class MemoryLeases(Leases):
    """Leases in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self._driver = driver

    def open(self, lease: str, worker: str, seconds: float) -> Step[None]:
        """Take out a lease."""

        def take(store: Store) -> None:
            rows = self._rows(store)
            if lease in rows.leases and not rows.alive(lease):
                raise LeaseLost(f"the lease {lease!r} was condemned, and is dead for ever")
            rows.leases[lease] = Lease(worker, rows.now + seconds)

        return self._driver.write(take)

    def renew(self, leases: Sequence[str], seconds: float) -> Step[list[str]]:
        """Prolong those that are alive; return the others."""

        def renew(store: Store) -> list[str]:
            rows = self._rows(store)
            alive = [lease for lease in leases if rows.alive(lease)]
            for lease in alive:
                rows.leases[lease] = replace(rows.leases[lease], until=rows.now + seconds)
            return [lease for lease in leases if lease not in alive]

        return self._driver.write(renew)

    def owner(self, lease: str) -> Step[str | None]:
        """The worker's name if the lease is alive."""

        def owner(store: Store) -> str | None:
            rows = self._rows(store)
            return rows.leases[lease].worker if rows.alive(lease) else None

        return self._driver.read(owner)

    def lapsed(self, ahead: float = 0.0) -> Step[list[str]]:
        """Those that will have run out by then and are not closed."""

        def lapsed(store: Store) -> list[str]:
            rows = self._rows(store)
            return [lease for lease, found in rows.leases.items() if found.until <= rows.now + ahead]

        return self._driver.read(lapsed)

    def condemn(self, leases: Sequence[str]) -> Step[list[str]]:
        """Declare dead those that have run out."""

        def condemn(store: Store) -> list[str]:
            rows = self._rows(store)
            dead = [lease for lease in leases if lease in rows.leases and rows.leases[lease].until <= rows.now]
            for lease in dead:
                rows.leases[lease] = replace(rows.leases[lease], until=DEAD)
            return dead

        return self._driver.write(condemn)

    def close(self, leases: Sequence[str]) -> Step[None]:
        """Forget leases; their runs are lost."""

        def close(store: Store) -> None:
            rows = self._rows(store)
            for lease in leases:
                if rows.leases.pop(lease, None) is not None:
                    rows.lose(lease)

        return self._driver.write(close, RECORDS)

    def _rows(self, store: Store) -> Rows:
        return Rows(store, self._driver.clock())
