"""The workers' contract on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penstock.core.encoding import dumps, loads
from penstock.core.errors import Conflict
from penstock.core.record import WorkerInfo
from penstock.core.results import Workers
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite

SQL = sqlfile.load("penstock.results.sqlite", "workers.sql")


class SQLiteWorkers(Workers):
    """The register in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self._driver = driver

    def register(self, info: WorkerInfo, seconds: float) -> Step[None]:
        """Appear, or replace one's own entry."""
        encoded = dumps(replace(info, status={}), where="worker")
        given: dict[str, Any] = {"name": info.name, "pid": info.pid, "info": encoded}
        given["status"] = dumps(info.status, where="status")

        def register(connection: sqlite3.Connection) -> None:
            if connection.execute(SQL["register"], given | self._times(seconds)).rowcount == 0:
                raise Conflict(f"another live worker is named {info.name!r}")

        return self._driver.write(register)

    def report(self, name: str, status: Mapping[str, object], seconds: float) -> Step[bool]:
        """Replace the status and live on."""
        given: dict[str, Any] = {"name": name, "status": dumps(status, where="status")}
        return self._driver.write(
            lambda connection: connection.execute(SQL["report"], given | self._times(seconds)).rowcount == 1
        )

    def leave(self, name: str) -> Step[None]:
        """Disappear."""

        def leave(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["leave"], (name,))

        return self._driver.write(leave)

    def all(self) -> Step[list[WorkerInfo]]:
        """Live workers by name."""

        def read(connection: sqlite3.Connection) -> list[WorkerInfo]:
            return [_info(*row) for row in connection.execute(SQL["all"], (self._driver.clock(),))]

        return self._driver.read(read)

    def _times(self, seconds: float) -> dict[str, float]:
        now = self._driver.clock()
        return {"now": now, "until": now + seconds}


def _info(info: bytes, status: bytes, seen_at: float) -> WorkerInfo:
    return WorkerInfo(**{**loads(info), "status": loads(status), "seen_at": seen_at})
