"""Filters, pages and counts, within a read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock.core import search
from penstock.core.record import Filter, Page, Tally
from penstock.core.states import RETRYABLE
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session
from penstock.results.postgres.rows import record_of
from penstock.results.postgres.running import SQL

_LISTING: Final = sqlfile.load("penstock.results.postgres", "listing.sql")
_FIELDS: Final = ("tasks", "queues", "workers", "since", "until", "due_after", "due_by", "unconfirmed")
#: rows are read along the table where at least one in so many of them is wanted
_NEAR: Final = 8
#: above every number of a row
_TOP: Final = 2**63 - 1


class Listing:
    """Lists of records on one driver."""

    def __init__(self, driver: Postgres) -> None:
        self._sql = driver.statements(_LISTING)
        sql = driver.statements(SQL)
        self._get, self._get_near = sql["get_seqs"], sql["get_near"]

    async def page(self, session: Session, which: Filter, limit: int, before: int | None) -> Page:
        """Records newest first, those numbered below `before`, of a stretch unless nothing is looked at in vain."""
        floor, reached = (None, None) if search.by_state_only(which) else await self._floor(session, which, before)
        seqs = await self._seqs(session, which, limit + 1, before, floor)
        records = [record_of(row) for row in await self._rows(session, seqs[:limit])]
        if len(seqs) > limit:
            return Page(records, str(seqs[limit - 1]))
        return Page(records, None if floor is None else str(floor), reached)

    async def tally(self, session: Session, which: Filter, before: int | None) -> Tally:
        """How many match of the stretch from below `before`."""
        floor, reached = await self._floor(session, which, before)
        given: list[Any] = [_TOP if before is None else before, floor or 0]
        if which.states:
            given.append(list(set(which.states)))
        statement = self._filtered("tally_of_states" if which.states else "tally", which, given)
        number = int(await session.value(statement, *given))
        return Tally(number, None if floor is None else str(floor), reached)

    async def _floor(
        self, session: Session, which: Filter, before: int | None
    ) -> tuple[int, float] | tuple[None, None]:
        """The lowest number of a stretch, and when that record was created; None for to the end."""
        given: list[Any] = [_TOP if before is None else before, search.stretch(which) - 1]
        if which.states and not which.text:
            found = await session.rows(self._sql["floor_of_states"], *given, list(set(which.states)))
        else:
            found = await session.rows(self._sql["floor"], *given)
        return (found[0]["seq"], found[0]["created_at"]) if found else (None, None)

    async def _seqs(
        self, session: Session, which: Filter, limit: int, before: int | None, floor: int | None
    ) -> list[int]:
        """The numbers of the newest records that match, between `before` and `floor`."""
        given: list[Any] = [_TOP if before is None else before, floor or 0, limit]
        if which.states:
            given.append(list(set(which.states)))
        statement = self._filtered("page_of_states" if which.states else "page", which, given)
        return await session.column(statement, *given)

    async def _rows(self, session: Session, seqs: Sequence[int]) -> Sequence[Any]:
        """The rows of these numbers, which fall."""
        if seqs and seqs[0] - seqs[-1] < _NEAR * len(seqs):
            return await session.rows(self._get_near, seqs, seqs[-1], seqs[0])
        return await session.rows(self._get, seqs)

    async def count(self, session: Session, which: Filter, at_most: int) -> int:
        """How many records match, up to `at_most`."""
        if which.text:
            raise ValueError("a search for text is counted by tally")
        given: list[Any] = [at_most]
        if which.states:
            given.append(list(which.states))
        statement = self._filtered("count_of_states" if which.states else "count", which, given)
        if which.states and RETRYABLE.issuperset(which.states):
            statement = statement.replace("LIMIT", f"AND {self._sql['undone']} LIMIT")
        return int(await session.value(statement, *given))

    async def oldest(self, session: Session, which: Filter) -> float | None:
        """When the first record that matches was created."""
        given: list[Any] = [list(set(which.states))] if which.states else []
        statement = self._filtered("oldest_of_states" if which.states else "oldest", which, given)
        found: float | None = await session.value(statement, *given)
        return found

    def _filtered(self, name: str, which: Filter, given: list[Any]) -> str:
        """A statement with the conditions that the filter has; their values are added to `given`."""
        wanted: dict[str, Any] = {field: getattr(which, field) for field in _FIELDS}
        if which.text:
            wanted["forms"] = search.forms(which.text)
        conditions = ""
        for field, value in wanted.items():
            if value is None or value is False or value == ():
                continue
            given.append(value if isinstance(value, float | int) else list(value))
            conditions += f" AND {self._sql[field].format(f'${len(given)}')}"
        return self._sql[name].replace("{conditions}", conditions)
