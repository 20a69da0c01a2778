"""The log lines' contract on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.core.record import LogPiece
from penstock.core.results import Logs
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session, columns
from penstock.results.postgres.records import RECORDS

_SQL: Final = sqlfile.load("penstock.results.postgres", "logs.sql")


class PostgresLogs(Logs):
    """Log lines in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self._driver = driver
        self._sql = driver.statements(_SQL)

    def add(self, pieces: Sequence[LogPiece], keep: int, *, tell: bool) -> Step[list[str]]:
        """Keep pieces of tasks that have a record."""
        ids = list(dict.fromkeys(piece.task_id for piece in pieces))

        async def add(session: Session) -> list[str]:
            if not ids:
                return []
            given = columns((piece.task_id, piece.number, piece.lines) for piece in pieces)
            await session.count(self._sql["add"], *given)
            known = await session.rows(self._sql["known"], ids)
            if known:
                seqs, *told = columns(map(tuple, known))
                await session.count(self._sql["trim"], seqs, keep)
                if tell:
                    await session.count(self._sql["tell"], session.now, *told)
            there = {row[1] for row in known}
            return [task_id for task_id in ids if task_id not in there]

        return self._driver.write(add, RECORDS) if tell else self._driver.write(add)

    def of_task(self, task_id: str) -> Step[list[LogPiece]]:
        """Read the pieces of one task."""

        async def of_task(session: Session) -> list[LogPiece]:
            return [LogPiece(task_id, *row) for row in await session.rows(self._sql["of_task"], task_id)]

        return self._driver.read(of_task)
