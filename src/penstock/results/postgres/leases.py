"""The leases' contract on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.core.errors import LeaseLost
from penstock.core.results import Leases
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session
from penstock.results.postgres.records import RECORDS
from penstock.results.postgres.running import Running

_SQL: Final = sqlfile.load("penstock.results.postgres", "leases.sql")


class PostgresLeases(Leases):
    """Leases in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self._driver = driver
        self._sql = driver.statements(_SQL)
        self._running = Running(driver)

    def open(self, lease: str, worker: str, seconds: float) -> Step[None]:
        """Take out a lease."""

        async def take(session: Session) -> None:
            if await session.count(self._sql["open"], session.now, lease, worker, seconds) == 0:
                raise LeaseLost(f"the lease {lease!r} was condemned, and is dead for ever")

        return self._driver.single(take)

    def renew(self, leases: Sequence[str], seconds: float) -> Step[list[str]]:
        """Prolong those that are alive; return the others."""
        given = list(leases)
        return self._driver.single(lambda session: session.column(self._sql["renew"], session.now, given, seconds))

    def owner(self, lease: str) -> Step[str | None]:
        """The worker's name if the lease is alive."""
        return self._driver.read(lambda session: session.value(self._sql["owner"], lease))

    def lapsed(self, ahead: float = 0.0) -> Step[list[str]]:
        """Those that will have run out by then and are not closed."""
        return self._driver.read(lambda session: session.column(self._sql["lapsed"], session.now, ahead))

    def condemn(self, leases: Sequence[str]) -> Step[list[str]]:
        """Declare dead those that have run out."""
        given = list(leases)

        async def condemn(session: Session) -> list[str]:
            dead = set(await session.column(self._sql["condemn"], session.now, given))
            return [lease for lease in given if lease in dead]

        return self._driver.single(condemn)

    def close(self, leases: Sequence[str]) -> Step[None]:
        """Forget leases; their runs are lost."""
        given = list(leases)

        async def close(session: Session) -> None:
            await session.count(self._sql["close"], given)
            await self._running.lose(session, given)

        return self._driver.write(close, RECORDS)
