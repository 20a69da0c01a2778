"""The scheduler: submits the tasks of schedules at their due times. Any number may run; each due time fires once.

Two things make it once. The task's id is a function of the schedule and its due time (core.schedule), so a second
submit is refused by the record; and an entry is moved on by comparing its due time, so one scheduler moves it. Submit
comes first: a scheduler that dies between the two leaves an entry that another one submits again, and is refused.

A lock says who goes first, so that they do not all submit the same; nothing depends on it. Whoever does not have it
looks half a second after each due time, and fires what is still there: its holder is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.client.submit import Submitter
from penstock.core.errors import StorageError, SubmitError, TaskIdTaken, Unavailable
from penstock.core.ids import new_id
from penstock.core.results import Watch
from penstock.core.schedule import LATE, ScheduleEntry

log = logging.getLogger("penstock.scheduler")

STAND_IN = 0.5  #: seconds that one without the lock leaves an entry to the one who has it
STRANGER = 5.0  #: seconds that one whose app lacks the task leaves an entry to one whose app has it, of a newer version
LOCK = 30.0  #: seconds that the lock is good for
ASK = 10.0  #: seconds after which to ask for the lock again, or prolong it; and only if something is due
SHORTEST, LONGEST = 0.02, 10.0  #: seconds between two looks; clocks of two machines differ, and can be set
RETRY = 1.0  #: seconds between tries while something does not work
OUTAGES = (Unavailable, StorageError)  # a server comes back, a full disk is freed


class Scheduler:
    """Fires the schedules of one app. `run` until cancelled; `poll` is one look."""

    def __init__(self, app: Penstock, backends: Backends) -> None:
        self.app = app
        self.backends = backends
        self.clock = app.clock
        self.leads = False  #: has the lock, as far as it knows
        self._lock, self._owner = f"scheduler:{app.name}", new_id()
        self._asked = float("-inf")  # when it last tried to get or prolong the lock
        self._synced = False
        self._troubled = False
        self._submitter = Submitter(backends)

    async def run(self) -> None:
        """Look, and sleep for as long as there is nothing to do. No error stops it; an outage is waited out."""
        watch = self.backends.results.schedules.watch()
        try:
            while True:
                await self._turn(watch)
        finally:
            await watch.close()
            await self._leave()

    async def poll(self) -> float:
        """Fire what is due; return the seconds until the next look."""
        schedules = self.backends.results.schedules
        if not self._synced:
            await schedules.sync(self.app.name, list(self.app.schedules.values()))
            self._synced = True
        due, upcoming = await schedules.due([self.app.name])
        if due:
            await self._lead()
        looks = [] if upcoming is None else [upcoming + self._reserve(upcoming)]
        for entry in due:
            mine = entry.next_due + self._patience(entry)
            looks.append(mine if mine > self.clock() else await self._dealt(entry))
        pause = min(looks, default=math.inf) - self.clock()
        return min(max(pause, SHORTEST), LONGEST)

    async def fire(self, entry: ScheduleEntry) -> None:
        """Submit the task of a due entry, unless it is too late for it, and move the entry on."""
        schedule, due, now = entry.schedule, entry.next_due, self.clock()
        task_id = ""
        if schedule.fires(due, now):
            task_id = await self._submit(entry)
        else:
            log.warning("schedule %s: skipped the run due %.0f s ago", schedule.name, now - due)
        moved = self.backends.results.schedules.advance(schedule.name, due, schedule.next_due(due, now), task_id)
        if await moved and task_id:
            late = f", {now - due:.0f} s late" if now - due > LATE else ""
            log.info("schedule %s fired%s", schedule.name, late, extra={"task_id": task_id})

    async def _turn(self, watch: Watch) -> None:
        try:
            pause = await self.poll()
            if self._troubled:
                log.info("schedules go on")
                self._troubled = False
            await watch.wait(pause)
        except OUTAGES as outage:
            if not self._troubled:
                log.warning("schedules wait: %s; trying again until it works", outage)
            self._troubled = True
            await asyncio.sleep(RETRY)
        except Exception:  # whatever it is, it must not be the end of all schedules
            log.exception("schedules: unexpected error; trying again")
            await asyncio.sleep(RETRY)

    async def _lead(self) -> None:
        """Take the lock if it is free, and prolong it in time if it is ours."""
        if self.clock() - self._asked >= ASK:
            self.leads = await self.backends.results.keys.lock(self._lock, self._owner, LOCK)
            self._asked = self.clock()

    async def _leave(self) -> None:
        """Let another one go first from now on."""
        with contextlib.suppress(*OUTAGES):  # then the lock runs out by itself
            if self.leads:
                await self.backends.results.keys.unlock(self._lock, self._owner)
            await self._submitter.close()

    def _reserve(self, at: float) -> float:
        """Seconds that this scheduler leaves to the one that has the lock; `at` is when it would look."""
        return 0.0 if self.leads or at - self._asked >= ASK else STAND_IN

    def _patience(self, entry: ScheduleEntry) -> float:
        """How late a due entry must be before this scheduler takes it on."""
        if entry.schedule.task not in self.app.tasks:
            return STRANGER
        return 0.0 if self.leads else STAND_IN

    async def _dealt(self, entry: ScheduleEntry) -> float:
        """Fire an entry; return when to look again. A fault of one schedule must not keep the others from firing."""
        try:
            await self.fire(entry)
        except OUTAGES:
            raise
        except Exception:  # as above
            log.exception("schedule %s: unexpected error; trying again", entry.schedule.name)
            return self.clock() + RETRY
        return self.clock()  # at once: with missed="all" the next one may be due already

    async def _submit(self, entry: ScheduleEntry) -> str:
        """Submit the task of a due time and return its id; "" if it cannot be: then its due time passes.

        A schedule that cannot be submitted must neither stop the others nor be tried in a loop.
        """
        schedule, task_id = entry.schedule, entry.schedule.task_id(entry.next_due)
        options = {**schedule.options, "task_id": task_id}
        known = schedule.task in self.app.tasks
        try:
            submission = self.app.prepare(schedule.task, list(schedule.args), dict(schedule.kwargs), options, known)
            await self._submitter.submit([submission])
        except TaskIdTaken:
            log.debug("schedule %s: another scheduler fired it", schedule.name, extra={"task_id": task_id})
        except SubmitError as error:
            log.error("schedule %s: %s", schedule.name, error)
            return ""
        except OUTAGES:
            raise
        except Exception:  # a route of the user's own, for one
            log.exception("schedule %s cannot be submitted", schedule.name)
            return ""
        return task_id
