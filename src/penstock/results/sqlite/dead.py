"""The dead letters' contract on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

from penstock.core.cursor import position
from penstock.core.head import head_of, message_of
from penstock.core.record import DeadLetter
from penstock.core.results import DeadLetters
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite.rows import json_text

SQL = sqlfile.load("penstock.results.sqlite", "dead.sql")
#: the columns between detail and head, by the letter's fields
_PLAIN = ("died_at", "task_id", "task", "deliveries")
_plain = attrgetter(*_PLAIN)
#: above every number of a row
_TOP = 2**63 - 1


class SQLiteDeadLetters(DeadLetters):
    """Dead letters in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self._driver = driver

    def add(self, letters: Sequence[DeadLetter]) -> Step[None]:
        """Keep letters that are not kept yet."""
        rows = [_row(letter) for letter in letters]

        def add(connection: sqlite3.Connection) -> None:
            connection.executemany(SQL["add"], rows)

        return self._driver.write(add)

    def get(self, letter_id: str) -> Step[DeadLetter | None]:
        """Read a letter."""

        def get(connection: sqlite3.Connection) -> DeadLetter | None:
            row = connection.execute(SQL["get"], (letter_id,)).fetchone()
            return None if row is None else _letter(row)

        return self._driver.read(get)

    def page(
        self, queue: str = "", reason: str = "", limit: int = 50, cursor: str | None = None
    ) -> Step[tuple[list[DeadLetter], str | None]]:
        """Letters newest first."""
        before = position(cursor)
        given = {"queue": queue, "reason": reason, "limit": limit + 1, "before": _TOP if before is None else before}

        def page(connection: sqlite3.Connection) -> tuple[list[DeadLetter], str | None]:
            rows = connection.execute(SQL["page"], given).fetchall()
            following = str(rows[limit - 1][0]) if len(rows) > limit else None
            return [_letter(row) for row in rows[:limit]], following

        return self._driver.read(page)

    def count(self, queue: str = "", reason: str = "") -> Step[int]:
        """Count letters."""
        given = {"queue": queue, "reason": reason}
        return self._driver.read(lambda connection: int(connection.execute(SQL["count"], given).fetchone()[0]))

    def discard(self, letter_ids: Sequence[str]) -> Step[int]:
        """Delete letters."""
        ids = json_text(list(letter_ids))
        return self._driver.write(lambda connection: connection.execute(SQL["discard"], (ids,)).rowcount)

    def of_task(self, task_id: str) -> Step[list[DeadLetter]]:
        """Read the letters of one task, newest first."""

        def of_task(connection: sqlite3.Connection) -> list[DeadLetter]:
            return [_letter(row) for row in connection.execute(SQL["of_task"], (task_id,))]

        return self._driver.read(of_task)


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    message = letter.message
    return (letter.id, letter.queue, letter.reason, letter.detail, *_plain(letter), head_of(message), message.body)


def _letter(row: Sequence[Any]) -> DeadLetter:
    _, letter_id, queue, reason, detail, *plain, head, body = row
    return DeadLetter(
        id=letter_id,
        queue=queue,
        reason=reason,
        detail=detail,
        message=message_of(head, body, queue),
        **dict(zip(_PLAIN, plain, strict=True)),
    )
