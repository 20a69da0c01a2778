"""The leases' contract on Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.core.errors import LeaseLost
from penstock.core.results import Leases
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import Answer, Transaction
from penstock.drivers.redis.wire import Argument


class RedisLeases(Leases):
    """Leases in one database of a Redis server."""

    def __init__(self, driver: Redis) -> None:
        self._driver = driver

    def open(self, lease: str, worker: str, seconds: float) -> Step[None]:
        """Take out a lease."""

        def work(transaction: Transaction) -> Answer:
            transaction.guard(
                "pardoned",
                lease,
                refused=lambda _: LeaseLost(f"the lease {lease!r} was condemned, and is dead for ever"),
            )
            transaction.do("lease_open", lease, worker, seconds)
            return lambda _: None

        return self._driver.step(work)

    def renew(self, leases: Sequence[str], seconds: float) -> Step[list[str]]:
        """Prolong those that are alive; return the others."""
        return self._names("lease_renew", leases, seconds)

    def owner(self, lease: str) -> Step[str | None]:
        """The worker's name if the lease is alive."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("lease_owner", lease)
            return lambda replies: None if replies[place] is None else replies[place].decode()

        return self._driver.step(work)

    def lapsed(self, ahead: float = 0.0) -> Step[list[str]]:
        """Those that will have run out by then and are not closed."""
        return self._names("lease_lapsed", (f"{ahead:.6f}",))

    def condemn(self, leases: Sequence[str]) -> Step[list[str]]:
        """Declare dead those that have run out."""
        return self._names("lease_condemn", leases)

    def close(self, leases: Sequence[str]) -> Step[None]:
        """Forget leases; their runs are lost."""

        def work(transaction: Transaction) -> Answer:
            if leases:
                transaction.do("lease_close", *leases)
                transaction.do("lose", *leases)
            return lambda _: None

        return self._driver.step(work)

    def _names(self, name: str, names: Sequence[str], *head: Argument) -> Step[list[str]]:
        """A step on names, answered by names."""

        def work(transaction: Transaction) -> Answer:
            if not names:
                return lambda _: []
            place = transaction.do(name, *head, *names)

            def answer(replies: list[Any]) -> list[str]:
                return [found.decode() for found in replies[place]]

            return answer

        return self._driver.step(work)
