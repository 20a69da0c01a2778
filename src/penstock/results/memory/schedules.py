"""The schedules' contract in memory."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

from penstock.core.results import Schedules, Watch
from penstock.core.schedule import Schedule, ScheduleEntry
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store, Table

#: the topic that wakes watches: an entry is another one than before
SCHEDULES = "schedules"


class MemorySchedules(Schedules):
    """Schedules in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self._driver = driver

    def sync(self, app: str, schedules: Sequence[Schedule]) -> Step[None]:
        """Make the entries of an app what its code says."""
        wanted = {schedule.name: schedule for schedule in schedules}

        def sync(store: Store) -> None:
            entries, now = _entries(store), self._driver.clock()
            for name in [name for name, found in entries.items() if found.app == app and name not in wanted]:
                del entries[name]
            for name, schedule in wanted.items():
                entries[name] = _synced(entries.get(name), app, schedule, now)

        return self._driver.write(sync, SCHEDULES)

    def all(self) -> Step[list[ScheduleEntry]]:
        """Every entry by name."""
        return self._driver.read(lambda store: [deepcopy(found) for _, found in sorted(_entries(store).items())])

    def due(self, apps: Sequence[str]) -> Step[tuple[list[ScheduleEntry], float | None]]:
        """What is due, and when the next will be."""

        def due(store: Store) -> tuple[list[ScheduleEntry], float | None]:
            now = self._driver.clock()
            active = [found for found in _entries(store).values() if found.app in apps and not found.paused]
            active.sort(key=lambda found: (found.next_due, found.schedule.name))
            ready = [deepcopy(found) for found in active if found.next_due <= now]
            return ready, next((found.next_due for found in active[len(ready) :]), None)

        return self._driver.read(due)

    def advance(self, name: str, due: float, next_due: float, task_id: str = "") -> Step[bool]:
        """Move an entry on, once."""

        def advance(store: Store) -> bool:
            entries = _entries(store)
            found = entries.get(name)
            if found is None or found.next_due != due:
                return False
            moved = replace(found, next_due=next_due)
            if task_id:
                moved = replace(moved, last_due=due, last_task_id=task_id, fired=found.fired + 1)
            entries[name] = moved
            return True

        return self._driver.write(advance)

    def pause(self, name: str, paused: bool) -> Step[bool]:
        """Pause or resume."""

        def pause(store: Store) -> bool:
            entries, now = _entries(store), self._driver.clock()
            found = entries.get(name)
            if found is None:
                return False
            resumed = found.paused and not paused
            next_due = found.schedule.first_due(now) if resumed else found.next_due
            entries[name] = replace(found, paused=paused, next_due=next_due)
            return True

        return self._driver.write(pause, SCHEDULES)

    def watch(self) -> Watch:
        """A watch that wakes when entries change otherwise than by firing."""
        return self._driver.listen(SCHEDULES)


def _entries(store: Store) -> Table[str, ScheduleEntry]:
    return store.table("schedules")


def _synced(found: ScheduleEntry | None, app: str, schedule: Schedule, now: float) -> ScheduleEntry:
    if found is None:
        return ScheduleEntry(schedule=deepcopy(schedule), app=app, next_due=schedule.first_due(now))
    if found.schedule == schedule:
        return replace(found, app=app)
    return replace(found, app=app, schedule=deepcopy(schedule), next_due=schedule.first_due(now))
