"""The feed of changes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from penstock.core.record import Change, Excerpt
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session
from penstock.results.postgres.rows import change_of


def _statements() -> dict[str, str]:
    found = sqlfile.load("penstock.results.postgres", "feed.sql")
    stretch = found.pop("stretch")
    return {name: text.replace("{stretch}", stretch) for name, text in found.items()}


_SQL: Final = _statements()


class Feed:
    """The feed on one driver."""

    def __init__(self, driver: Postgres) -> None:
        self._sql = driver.statements(_SQL)

    async def changes(self, session: Session, after: int | None, limit: int) -> list[Change]:
        """The feed after a number; for None its newest line."""
        if after is None:
            return [change_of(row) for row in await session.rows(self._sql["newest"])]
        return [change_of(row) for row in await session.rows(self._sql["changes"], after, limit)]

    async def excerpt(self, session: Session, task_ids: Collection[str], after: int, limit: int) -> Excerpt:
        """The feed after a number, for some tasks."""
        rows = await session.rows(self._sql["excerpt"], after, limit, list(task_ids))
        lines, upto = rows[0][8:]
        return Excerpt([change_of(row[:8]) for row in rows if row[0] is not None], upto or after, lines)
