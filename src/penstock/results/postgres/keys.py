"""The keys' contract on PostgreSQL, and the sweep of everything that has a time to live."""

from __future__ import annotations

from typing import Final

from penstock.core.results import Keys
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session
from penstock.results.postgres.retention import Retention

_SQL: Final = sqlfile.load("penstock.results.postgres", "keys.sql")


class PostgresKeys(Keys):
    """Keys and locks in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self._driver = driver
        self._sql = driver.statements(_SQL)
        self._retention = Retention(driver)

    def put(self, key: str, value: bytes, seconds: float) -> Step[None]:
        """Keep a value."""

        async def put(session: Session) -> None:
            await session.count(self._sql["put"], session.now, key, value, seconds)

        return self._driver.single(put)

    def add(self, key: str, value: bytes, seconds: float) -> Step[bytes | None]:
        """Keep a value where none is."""

        async def add(session: Session) -> bytes | None:
            while True:
                if await session.value(self._sql["add"], session.now, key, value, seconds):
                    return None
                found: bytes | None = await session.value(self._sql["get"], session.now, key)
                if found is not None:  # else it went away this very moment
                    return found

        return self._driver.write(add)

    def swap(self, key: str, old: bytes, new: bytes, seconds: float) -> Step[bool]:
        """Replace what is as expected."""

        async def swap(session: Session) -> bool:
            return await session.count(self._sql["swap"], session.now, key, old, new, seconds) == 1

        return self._driver.single(swap)

    def get(self, key: str) -> Step[bytes | None]:
        """Read a value."""
        return self._driver.read(lambda session: session.value(self._sql["get"], session.now, key))

    def delete(self, key: str) -> Step[None]:
        """Forget a value."""

        async def delete(session: Session) -> None:
            await session.count(self._sql["delete"], key)

        return self._driver.single(delete)

    def lock(self, name: str, owner: str, seconds: float) -> Step[bool]:
        """Take or prolong a lock."""

        async def lock(session: Session) -> bool:
            return await session.count(self._sql["take"], session.now, name, owner, seconds) == 1

        return self._driver.single(lock)

    def unlock(self, name: str, owner: str) -> Step[None]:
        """Give up one's own lock."""

        async def unlock(session: Session) -> None:
            await session.count(self._sql["unlock"], name, owner)

        return self._driver.single(unlock)

    def sweep(self, limit: int = 10_000) -> Step[int]:
        """Delete what has outlived its time."""
        return self._driver.write(lambda session: self._retention.sweep(session, limit))
