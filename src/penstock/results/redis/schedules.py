"""The schedules' contract on Redis: the hash `schedules`, a JSON object for each name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from penstock.core.encoding import dumps, loads
from penstock.core.results import Schedules, Watch
from penstock.core.schedule import Schedule, ScheduleEntry
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import Answer, Transaction

#: the channel that wakes watches: an entry is another one than before
SCHEDULES = "schedules"

Entry = dict[str, Any]


class RedisSchedules(Schedules):
    """Schedules in one database of a Redis server."""

    def __init__(self, driver: Redis) -> None:
        self._driver = driver
        self._key = f"{driver.keys}schedules"

    def sync(self, app: str, schedules: Sequence[Schedule]) -> Step[None]:
        """Make the entries of an app what its code says."""
        texts = {schedule.name: dumps(schedule, where="schedule").decode() for schedule in schedules}

        async def work(transaction: Transaction) -> Answer:
            (pairs,) = await transaction.ask(("HGETALL", self._key))
            names = [name.decode() for name in pairs[::2]]
            found = await self._load(transaction, {*names, *texts})
            for name, entry in found.items():
                if entry["app"] == app and name not in texts:
                    transaction.write(None, self._key, name)
            for schedule in schedules:
                before = found.get(schedule.name)
                entry = {**_FRESH, **(before or {}), "app": app, "schedule": texts[schedule.name]}
                if before is None or before["schedule"] != texts[schedule.name]:
                    entry["next_due"] = schedule.first_due(transaction.now)
                self._put(transaction, schedule.name, entry)
            transaction.wake(self._driver.channel(SCHEDULES))
            return lambda _: None

        return self._driver.step(work)

    def all(self) -> Step[list[ScheduleEntry]]:
        """Every entry by name."""
        return self._read(lambda entries, _: sorted(entries, key=lambda entry: entry.schedule.name))

    def due(self, apps: Sequence[str]) -> Step[tuple[list[ScheduleEntry], float | None]]:
        """What is due, and when the next will be."""

        def due(entries: list[ScheduleEntry], now: float) -> tuple[list[ScheduleEntry], float | None]:
            active = [entry for entry in entries if entry.app in apps and not entry.paused]
            active.sort(key=lambda entry: (entry.next_due, entry.schedule.name))
            ready = [entry for entry in active if entry.next_due <= now]
            return ready, next((entry.next_due for entry in active[len(ready) :]), None)

        return self._read(due)

    def advance(self, name: str, due: float, next_due: float, task_id: str = "") -> Step[bool]:
        """Move an entry on, once."""

        async def work(transaction: Transaction) -> Answer:
            entry = (await self._load(transaction, {name})).get(name)
            if entry is None or entry["next_due"] != due:
                return lambda _: False
            entry["next_due"] = next_due
            if task_id:
                entry |= {"last_due": due, "last_task_id": task_id, "fired": entry["fired"] + 1}
            self._put(transaction, name, entry)
            return lambda _: True

        return self._driver.step(work)

    def pause(self, name: str, paused: bool) -> Step[bool]:
        """Pause or resume."""

        async def work(transaction: Transaction) -> Answer:
            entry = (await self._load(transaction, {name})).get(name)
            if entry is None:
                return lambda _: False
            if entry["paused"] and not paused:
                entry["next_due"] = _schedule(entry).first_due(transaction.now)
            self._put(transaction, name, {**entry, "paused": paused})
            transaction.wake(self._driver.channel(SCHEDULES))
            return lambda _: True

        return self._driver.step(work)

    def watch(self) -> Watch:
        """A watch that wakes when entries change otherwise than by firing."""
        return self._driver.listen(SCHEDULES)

    def _read(self, make: Callable[[list[ScheduleEntry], float], Any]) -> Step[Any]:
        async def work(transaction: Transaction) -> Answer:
            (pairs,) = await transaction.ask(("HGETALL", self._key))
            found = make([_entry(loads(raw)) for raw in pairs[1::2]], transaction.now)
            return lambda _: found

        return self._driver.step(work)

    async def _load(self, transaction: Transaction, names: set[str]) -> dict[str, Entry]:
        """The entries of these names that exist; the commit holds only if they are still the same."""
        await transaction.load([(self._key, name) for name in sorted(names)])
        raw = {name: transaction.read(self._key, name) for name in names}
        return {name: loads(value) for name, value in raw.items() if value is not None}

    def _put(self, transaction: Transaction, name: str, entry: Entry) -> None:
        transaction.write(dumps(entry), self._key, name)


_FRESH: Entry = {"paused": False, "last_due": None, "last_task_id": "", "fired": 0}


def _schedule(entry: Entry) -> Schedule:
    fields = loads(entry["schedule"])
    return Schedule(**{**fields, "args": tuple(fields["args"])})


def _entry(entry: Entry) -> ScheduleEntry:
    return ScheduleEntry(**{**entry, "schedule": _schedule(entry)})
