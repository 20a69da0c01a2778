"""The workers' contract on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from penstock.core.encoding import dumps, loads
from penstock.core.errors import Conflict
from penstock.core.record import WorkerInfo
from penstock.core.results import Workers
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session

_SQL: Final = sqlfile.load("penstock.results.postgres", "workers.sql")


class PostgresWorkers(Workers):
    """The register in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self._driver = driver
        self._sql = driver.statements(_SQL)

    def register(self, info: WorkerInfo, seconds: float) -> Step[None]:
        """Appear, or replace one's own entry."""
        encoded = dumps(replace(info, status={}), where="worker")
        given: tuple[Any, ...] = (info.name, info.pid, encoded, dumps(info.status, where="status"), seconds)

        async def register(session: Session) -> None:
            if await session.count(self._sql["register"], session.now, *given) == 0:
                raise Conflict(f"another live worker is named {info.name!r}")

        return self._driver.single(register)

    def report(self, name: str, status: Mapping[str, object], seconds: float) -> Step[bool]:
        """Replace the status and live on."""
        given = (name, dumps(status, where="status"), seconds)

        async def report(session: Session) -> bool:
            return await session.count(self._sql["report"], session.now, *given) == 1

        return self._driver.single(report)

    def leave(self, name: str) -> Step[None]:
        """Disappear."""

        async def leave(session: Session) -> None:
            await session.count(self._sql["leave"], name)

        return self._driver.single(leave)

    def all(self) -> Step[list[WorkerInfo]]:
        """Live workers by name."""

        async def read(session: Session) -> list[WorkerInfo]:
            return [_info(*row) for row in await session.rows(self._sql["all"], session.now)]

        return self._driver.read(read)


def _info(info: bytes, status: bytes, seen_at: float) -> WorkerInfo:
    return WorkerInfo(**{**loads(info), "status": loads(status), "seen_at": seen_at})
