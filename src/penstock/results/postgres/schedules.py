"""The schedules' contract on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock.core.encoding import dumps, loads
from penstock.core.results import Schedules, Watch
from penstock.core.schedule import Schedule, ScheduleEntry
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session

_SQL: Final = sqlfile.load("penstock.results.postgres", "schedules.sql")
#: the topic that wakes watches: an entry is another one than before
SCHEDULES: Final = "schedules"


class PostgresSchedules(Schedules):
    """Schedules in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self._driver = driver
        self._sql = driver.statements(_SQL)

    def sync(self, app: str, schedules: Sequence[Schedule]) -> Step[None]:
        """Make the entries of an app what its code says."""
        names = [schedule.name for schedule in schedules]
        encoded = [dumps(schedule, where="schedule") for schedule in schedules]

        async def sync(session: Session) -> None:
            now = await self._now(session)
            await session.count(self._sql["drop_others"], app, names)
            for schedule, text in zip(schedules, encoded, strict=True):
                found = await session.row(self._sql["get"], schedule.name)
                next_due = found[2] if found and found[1] == text else schedule.first_due(now)
                await session.count(self._sql["put"], schedule.name, app, text, next_due)

        return self._driver.write(sync, SCHEDULES)

    def all(self) -> Step[list[ScheduleEntry]]:
        """Every entry by name."""

        async def read(session: Session) -> list[ScheduleEntry]:
            return [_entry(row) for row in await session.rows(self._sql["all"])]

        return self._driver.read(read)

    def due(self, apps: Sequence[str]) -> Step[tuple[list[ScheduleEntry], float | None]]:
        """What is due, and when the next will be."""
        given = list(apps)

        async def due(session: Session) -> tuple[list[ScheduleEntry], float | None]:
            rows = await session.rows(self._sql["active"], session.now, given)
            ready = [_entry(row[:7]) for row in rows if row[2] <= row[7]]
            return ready, next((row[2] for row in rows[len(ready) :]), None)

        return self._driver.read(due)

    def advance(self, name: str, due: float, next_due: float, task_id: str = "") -> Step[bool]:
        """Move an entry on, once."""

        async def advance(session: Session) -> bool:
            return await session.count(self._sql["advance"], name, due, next_due, task_id) == 1

        return self._driver.single(advance)

    def pause(self, name: str, paused: bool) -> Step[bool]:
        """Pause or resume."""

        async def pause(session: Session) -> bool:
            row = await session.row(self._sql["get"], name)
            if row is None:
                return False
            found = _entry(row)
            resumed = found.paused and not paused
            next_due = found.schedule.first_due(await self._now(session)) if resumed else found.next_due
            await session.count(self._sql["pause"], name, paused, next_due)
            return True

        return self._driver.write(pause, SCHEDULES)

    def watch(self) -> Watch:
        """A watch that wakes when entries change otherwise than by firing."""
        return self._driver.listen(SCHEDULES)

    async def _now(self, session: Session) -> float:
        found: float = await session.value(self._sql["now"], session.now)
        return found


def _entry(row: Sequence[Any]) -> ScheduleEntry:
    app, schedule, next_due, paused, last_due, last_task_id, fired = row
    fields = loads(schedule)
    return ScheduleEntry(
        schedule=Schedule(**{**fields, "args": tuple(fields["args"])}),
        app=app,
        next_due=next_due,
        paused=paused,
        last_due=last_due,
        last_task_id=last_task_id,
        fired=fired,
    )
