"""The log lines' contract on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from penstock.core.record import LogPiece
from penstock.core.results import Logs
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite.records import RECORDS
from penstock.results.sqlite.rows import json_text

SQL = sqlfile.load("penstock.results.sqlite", "logs.sql")


class SQLiteLogs(Logs):
    """Log lines in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self._driver = driver

    def add(self, pieces: Sequence[LogPiece], keep: int, *, tell: bool) -> Step[list[str]]:
        """Keep pieces of tasks that have a record."""
        ids = list(dict.fromkeys(piece.task_id for piece in pieces))

        def add(connection: sqlite3.Connection) -> list[str]:
            known = dict(connection.execute(SQL["known"], {"ids": json_text(ids)}).fetchall())
            seqs = json_text(list(known.values()))
            rows = [(known[piece.task_id], piece.number, piece.lines) for piece in pieces if piece.task_id in known]
            connection.executemany(SQL["add"], rows)
            connection.execute(SQL["trim"], {"seqs": seqs, "keep": keep})
            if tell:
                connection.execute(SQL["tell"], {"seqs": seqs, "now": self._driver.clock()})
            return [task_id for task_id in ids if task_id not in known]

        return self._driver.write(add, RECORDS) if tell else self._driver.write(add)

    def of_task(self, task_id: str) -> Step[list[LogPiece]]:
        """Read the pieces of one task."""

        def of_task(connection: sqlite3.Connection) -> list[LogPiece]:
            return [LogPiece(task_id, *row) for row in connection.execute(SQL["of_task"], (task_id,))]

        return self._driver.read(of_task)
