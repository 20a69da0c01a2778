"""Gives room back after retention has deleted much: PostgreSQL's VACUUM does so only where the end of a table is empty.

Old rows stand at its beginning, so what is left after a peak stands at the end, and would hold all the room before it
for as long as it lives. Where a table is mostly empty its last rows are moved, some pages in each sweep's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session

_SQL: Final = sqlfile.load("penstock.results.postgres", "shrink.sql")
_TABLES: Final = ("records", "payloads", "logs")
#: a table of fewer pages is left alone: VACUUM itself does not cut off less
_WORTH: Final = 1000
#: how often a portion is moved at most: rows leave their own page only once it is full, of what they were before
_TRIES: Final = 64
#: rows that a portion is meant to hold, and its limits in pages
_ROWS: Final = 500
_LEAST, _MOST = 32, 8192


@dataclass(slots=True)
class _Walk:
    """A walk over a table from its end."""

    seen: tuple[int, float]  #: pages and rows as VACUUM had counted them when it began
    pages: int  #: that there were when it began
    edge: int  #: what stood from this page on was moved
    portion: int = 128  #: pages of the next step
    moved: int = 0  #: rows, since it was last at the end
    again: int = 3  #: times that it may go back there, for rows that came to stand behind it


class Shrinking:
    """Moves rows on one driver."""

    def __init__(self, driver: Postgres) -> None:
        self._sql = {
            table: driver.statements({name: text.replace("{table}", table) for name, text in _SQL.items()})
            for table in _TABLES
        }
        self._walks: dict[str, _Walk] = {}

    async def step(self, session: Session) -> bool:
        """Move a portion of each table that is mostly empty; whether there is more to move."""
        return any([await self._step(session, table) for table in _TABLES])

    async def _step(self, session: Session, table: str) -> bool:
        relpages: int
        rows: float
        pages: int
        needed: int
        relpages, rows, pages, needed = await session.row(self._sql[table]["room"])
        goal = needed * 3 // 2 + _WORTH // 2
        if rows < 0 or relpages < 2 * goal:  # as VACUUM saw it: what came since may have filled it again
            return False
        walk = self._walks.get(table)
        if walk is None or (walk.edge <= goal and walk.seen != (relpages, rows)):
            walk = self._walks[table] = _Walk((relpages, rows), pages, pages)
        walk.edge = min(walk.edge, pages)
        if pages > walk.pages + _WORTH // 4:  # there is no room before it after all, as far as the server knows
            walk.edge = goal
        if walk.edge <= goal:  # the rest is VACUUM's
            return False
        low = max(goal, walk.edge - walk.portion)
        moved = await self._move(session, table, low, walk.edge)
        walk.portion = max(_LEAST, walk.portion // 2) if moved > _ROWS else min(_MOST, walk.portion * 2)
        walk.moved += moved
        walk.edge = low
        if low <= goal and walk.moved and walk.again:
            walk.edge, walk.moved, walk.again = pages, 0, walk.again - 1
        return walk.edge > goal

    async def _move(self, session: Session, table: str, low: int, high: int) -> int:
        """How many rows there were."""
        found = moved = await session.count(self._sql[table]["move"], (low, 0), (high, 0))
        for _ in range(_TRIES - 1):
            if moved:
                moved = await session.count(self._sql[table]["move"], (low, 0), (high, 0))
        return found
