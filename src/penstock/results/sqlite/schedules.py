"""The schedules' contract on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from penstock.core.encoding import dumps, loads
from penstock.core.results import Schedules, Watch
from penstock.core.schedule import Schedule, ScheduleEntry
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite.rows import json_text

SQL = sqlfile.load("penstock.results.sqlite", "schedules.sql")
#: the topic that wakes watches: an entry is another one than before
SCHEDULES = "schedules"


class SQLiteSchedules(Schedules):
    """Schedules in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self._driver = driver

    def sync(self, app: str, schedules: Sequence[Schedule]) -> Step[None]:
        """Make the entries of an app what its code says."""
        names = json_text([schedule.name for schedule in schedules])
        encoded = [dumps(schedule, where="schedule") for schedule in schedules]

        def sync(connection: sqlite3.Connection) -> None:
            now = self._driver.clock()
            connection.execute(SQL["drop_others"], {"app": app, "names": names})
            for schedule, text in zip(schedules, encoded, strict=True):
                found = connection.execute(SQL["get"], (schedule.name,)).fetchone()
                next_due = found[2] if found and found[1] == text else schedule.first_due(now)
                given = {"name": schedule.name, "app": app, "schedule": text, "next_due": next_due}
                connection.execute(SQL["put"], given)

        return self._driver.write(sync, SCHEDULES)

    def all(self) -> Step[list[ScheduleEntry]]:
        """Every entry by name."""
        return self._driver.read(lambda connection: [_entry(row) for row in connection.execute(SQL["all"])])

    def due(self, apps: Sequence[str]) -> Step[tuple[list[ScheduleEntry], float | None]]:
        """What is due, and when the next will be."""
        given = (json_text(list(apps)),)

        def due(connection: sqlite3.Connection) -> tuple[list[ScheduleEntry], float | None]:
            now = self._driver.clock()
            active = [_entry(row) for row in connection.execute(SQL["active"], given)]
            ready = [entry for entry in active if entry.next_due <= now]
            return ready, next((entry.next_due for entry in active[len(ready) :]), None)

        return self._driver.read(due)

    def advance(self, name: str, due: float, next_due: float, task_id: str = "") -> Step[bool]:
        """Move an entry on, once."""
        given = {"name": name, "due": due, "next_due": next_due, "task_id": task_id}
        return self._driver.write(lambda connection: connection.execute(SQL["advance"], given).rowcount == 1)

    def pause(self, name: str, paused: bool) -> Step[bool]:
        """Pause or resume."""

        def pause(connection: sqlite3.Connection) -> bool:
            row = connection.execute(SQL["get"], (name,)).fetchone()
            if row is None:
                return False
            found = _entry(row)
            resumed = found.paused and not paused
            next_due = found.schedule.first_due(self._driver.clock()) if resumed else found.next_due
            connection.execute(SQL["pause"], (paused, next_due, name))
            return True

        return self._driver.write(pause, SCHEDULES)

    def watch(self) -> Watch:
        """A watch that wakes when entries change otherwise than by firing."""
        return self._driver.listen(SCHEDULES)


def _entry(row: Sequence[Any]) -> ScheduleEntry:
    app, schedule, next_due, paused, last_due, last_task_id, fired = row
    fields = loads(schedule)
    return ScheduleEntry(
        schedule=Schedule(**{**fields, "args": tuple(fields["args"])}),
        app=app,
        next_due=next_due,
        paused=bool(paused),
        last_due=last_due,
        last_task_id=last_task_id,
        fired=fired,
    )
