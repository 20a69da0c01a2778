"""What is deleted because it is old or too much, in portions, within a write transaction."""

from __future__ import annotations

from math import inf
from typing import Final

from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session
from penstock.results.postgres.shrinking import Shrinking

_SQL: Final = sqlfile.load("penstock.results.postgres", "retention.sql")
#: seconds in which no number of endings deletes a record
_YOUNG: Final = 3600.0
#: seconds for which the feed is kept
_FEED: Final = 3600.0
#: above every number of a row
_TOP: Final = 2**63 - 1
_SWEEPS: Final = ("sweep_keys", "sweep_locks", "sweep_letters", "sweep_workers")


class Retention:
    """Deletes what is old on one driver."""

    def __init__(self, driver: Postgres) -> None:
        self._sql = driver.statements(_SQL)
        self._shrinking = Shrinking(driver)
        self._surplus: tuple[int, float, int] | None = None  # of a number to keep: the newest ending that is too many

    async def prune(self, session: Session, older: float, keep: int, limit: int) -> int:
        """Delete endings that are too old, then those that are too many."""
        gone: int = await session.value(self._sql["prune"], session.now, inf, _TOP, older, limit)
        if gone < limit and self._surplus is not None and self._surplus[0] == keep:
            gone += await self._drop(session, self._surplus, limit - gone)
        if gone < limit:
            self._surplus = await self._found(session, keep)
            if self._surplus is not None:
                gone += await self._drop(session, self._surplus, limit - gone)
        return gone

    async def sweep(self, session: Session, limit: int) -> int:
        """Delete what has outlived its time, and the tail of the feed, whose newest line stays; give room back.

        `limit` at least where there is more to be done.
        """
        gone = 0
        for name in _SWEEPS:
            gone += await session.count(self._sql[name], session.now, limit)
        lines: int = await session.value(self._sql["sweep_feed"], session.now, limit, _FEED)
        more = await self._shrinking.step(session)
        return max(limit, gone + lines) if more else gone + lines

    async def _found(self, session: Session, keep: int) -> tuple[int, float, int] | None:
        """The newest ending that is too many: found by walking over those to keep, and so not looked for in vain."""
        if await session.value(self._sql["range"]) <= keep:
            return None
        row = await session.row(self._sql["newest_to_go"], keep)
        return None if row is None else (keep, row[0], row[1])

    async def _drop(self, session: Session, surplus: tuple[int, float, int], limit: int) -> int:
        _, finished_at, seq = surplus
        found: int = await session.value(self._sql["prune"], session.now, finished_at, seq, _YOUNG, limit)
        return found
