"""The dead letters' contract on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Final

from penstock.core.cursor import position
from penstock.core.head import head_of, message_of
from penstock.core.record import DeadLetter
from penstock.core.results import DeadLetters
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session, columns
from penstock.results.postgres.rows import packed, unpacked

_SQL: Final = sqlfile.load("penstock.results.postgres", "dead.sql")
#: the columns between detail and head, by the letter's fields
_PLAIN: Final = ("died_at", "task_id", "task", "deliveries")
_plain = attrgetter(*_PLAIN)
#: above every number of a row
_TOP: Final = 2**63 - 1


class PostgresDeadLetters(DeadLetters):
    """Dead letters in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self._driver = driver
        self._sql = driver.statements(_SQL)

    def add(self, letters: Sequence[DeadLetter]) -> Step[None]:
        """Keep letters that are not kept yet."""
        given = columns(map(_row, letters))

        async def add(session: Session) -> None:
            if given:
                await session.count(self._sql["add"], *given)

        return self._driver.single(add)

    def get(self, letter_id: str) -> Step[DeadLetter | None]:
        """Read a letter."""

        async def get(session: Session) -> DeadLetter | None:
            row = await session.row(self._sql["get"], letter_id)
            return None if row is None else _letter(row)

        return self._driver.read(get)

    def page(
        self, queue: str = "", reason: str = "", limit: int = 50, cursor: str | None = None
    ) -> Step[tuple[list[DeadLetter], str | None]]:
        """Letters newest first."""
        before = position(cursor)
        given: list[Any] = [_TOP if before is None else before, reason, limit + 1]
        name = "page"
        if queue:
            name = "page_of_queue"
            given.append(queue)

        async def page(session: Session) -> tuple[list[DeadLetter], str | None]:
            rows = await session.rows(self._sql[name], *given)
            following = str(rows[limit - 1][0]) if len(rows) > limit else None
            return [_letter(row) for row in rows[:limit]], following

        return self._driver.read(page)

    def count(self, queue: str = "", reason: str = "") -> Step[int]:
        """Count letters."""
        return self._driver.read(lambda session: session.value(self._sql["count"], queue, reason))

    def discard(self, letter_ids: Sequence[str]) -> Step[int]:
        """Delete letters."""
        ids = list(letter_ids)
        return self._driver.single(lambda session: session.count(self._sql["discard"], ids))

    def of_task(self, task_id: str) -> Step[list[DeadLetter]]:
        """Read the letters of one task, newest first."""

        async def of_task(session: Session) -> list[DeadLetter]:
            return [_letter(row) for row in await session.rows(self._sql["of_task"], task_id)]

        return self._driver.read(of_task)


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    message = letter.message
    return (
        letter.id,
        letter.queue,
        letter.reason,
        packed(letter.detail),
        *_plain(letter),
        head_of(message),
        message.body,
    )


def _letter(row: Sequence[Any]) -> DeadLetter:
    _, letter_id, queue, reason, detail, *plain, head, body = row
    return DeadLetter(
        id=letter_id,
        queue=queue,
        reason=reason,
        detail=unpacked(detail) or "",
        message=message_of(head, body, queue),
        **dict(zip(_PLAIN, plain, strict=True)),
    )
