"""The keeper: the one process of a worker that looks after the others' leases, letters and dead, and does the sweeps.

Tasks cannot disturb it, whatever they do to their own process. When it dies another takes its place within
milliseconds; leases outlive that. When the supervisor dies it stays until the children have gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from penstock.client.backends import Backends
from penstock.core.errors import PenstockError, Unavailable
from penstock.scheduler.loop import Scheduler
from penstock.worker import process
from penstock.worker.burial import Burial
from penstock.worker.chronicler import SAMPLE, Chronicler
from penstock.worker.errands import Errands
from penstock.worker.health import Health
from penstock.worker.kin import Kid, Kin
from penstock.worker.letters import Letters
from penstock.worker.links import Link, Note
from penstock.worker.monitor import Monitor
from penstock.worker.options import Plan
from penstock.worker.patience import Patience
from penstock.worker.presence import Presence
from penstock.worker.scribe import Scribe
from penstock.worker.slots import Seat
from penstock.worker.sweeps import OFTEN, SELDOM, Sweeps
from penstock.worker.takeover import Takeover

log = logging.getLogger("penstock.worker.keeper")

Known = Sequence[tuple[int, int, list[str]]]  # pid, seat and leases of each living child
LINGER = 5.0  #: seconds beyond the grace for which orphaned children's leases are kept alive


class Keeper:
    """One keeper process."""

    def __init__(self, plan: Plan, seats: list[Seat], link: Link, known: Known, parent: int) -> None:
        self.plan = plan
        self.link = link
        self.backends: Backends = plan.app.backends()
        self.kin = Kin(seats, sorted(plan.app.tasks))
        for pid, seat, leases in known:
            self.kin.born(pid, seat, leases)
        self.presence = Presence(plan, self.backends, self.kin, parent)
        self.burial = Burial(self.backends, plan.name)
        self.monitor = Monitor(self.kin, link.send, time.time, time.monotonic)
        self.letters = Letters(self.backends, plan.name, self.kin, self.monitor, link.send)
        self.sweeps = Sweeps(self.backends, plan.app.settings, plan.name)
        self.takeover = Takeover(self.backends, plan.name, plan.lease, plan.renewal)
        self.chronicler = Chronicler(self.backends)
        self.scribe: Scribe | None = None
        self.health = Health(self.backends, self.kin)
        self.errands = Errands()

    async def run(self, deaths: Sequence[Note]) -> int:
        """Live; return the exit code."""
        self._finished = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.link.fileno(), self._read)
        try:
            patience = Patience("starting", log, outages=(Unavailable,))
            await patience.run(self.backends.open)
            self.scribe = Scribe(self.backends, self.plan.app.settings.task_log)
            await patience.run(self.presence.register)
            server = await self._serve()
        except (PenstockError, OSError) as error:
            self.link.send({"fatal": str(error)})
            return 1
        for death in deaths:
            self.errands.send(self._bury(death))
        tasks = [loop.create_task(each) for each in self._loops()]
        for task in tasks:
            task.add_done_callback(_never_alone)
        self.link.send({"ready": True})
        await self._finished.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=1.0)
        await self._leave(server)
        return 0

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        """Everything that goes on until the end."""
        every = [
            self._every(self.plan.renewal, "renewing leases", self._beat),
            self._every(1.0, "looking after the children", self._look),
            self._every(self.takeover.every, "taking over", self.takeover.look),
            self.letters.run(),
        ]
        if self.plan.scheduler:
            every += [
                self._every(OFTEN, "sweeping", self.sweeps.often),
                self._every(SELDOM, "clearing", self.sweeps.seldom),
                self._every(SAMPLE, "telling the history", partial(self.chronicler.sample, self.plan.name)),
                Scheduler(self.plan.app, self.backends).run(),
            ]
        return every

    async def _every(self, seconds: float, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do `work` again and again, through every outage."""
        patience = Patience(what, log)
        while True:
            await patience.run(work)
            await asyncio.sleep(seconds)

    async def _beat(self) -> None:
        for lease in await self.presence.beat():
            self.link.send({"lost": lease})

    async def _look(self) -> None:
        self.monitor.look()

    async def _serve(self) -> asyncio.Server | None:
        return None if self.plan.health is None else await self.health.serve(*self.plan.health)

    # ----------------------------------------------------------------------------------------------------------- notes

    def _read(self) -> None:
        for note in self.link.receive():
            self._note(note)
        if self.link.ended:
            asyncio.get_running_loop().remove_reader(self.link.fileno())
            log.warning("the supervisor is gone; staying until its children are")
            self.errands.send(self._linger())

    def _note(self, note: Note) -> None:
        if "born" in note:
            self.kin.born(note["born"], note["seat"], [note["lease"]])
        elif "died" in note:
            self.errands.send(self._bury(note["died"]))
        elif "answer" in note:
            self.letters.answered(note)
        elif "said" in note and self.scribe is not None:
            self.scribe.note(note["said"], note["line"].encode())
        elif "finish" in note:
            self._finished.set()

    async def _bury(self, death: Note) -> None:
        self.kin.died(death["pid"])
        await self.burial.bury(death)
        self.link.send({"buried": death["pid"]})

    # ---------------------------------------------------------------------------------------------------------- ending

    async def _linger(self) -> None:
        """The supervisor is gone: bury the children as they go; they have their grace."""
        patience = time.monotonic() + self.plan.grace + LINGER
        while self.kin.kids and time.monotonic() < patience:
            for kid in self.kin:
                if not _lives(kid.pid):
                    await self._bury(_death(kid))
            await asyncio.sleep(0.1)
        self._finished.set()

    async def _leave(self, server: asyncio.Server | None) -> None:
        if server is not None:
            server.close()
        with contextlib.suppress(PenstockError, TimeoutError):  # the entry goes by itself, soon
            async with asyncio.timeout(2.0):
                await self.errands.done()
                await self.letters.finish()
                if self.scribe is not None:
                    await self.scribe.tell()
                await self.presence.leave()
        await self.backends.close()


def _never_alone(task: asyncio.Task[None]) -> None:
    """A loop failed in a way that nobody foresaw: better a new keeper than one that does half of its work."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("the keeper cannot go on", exc_info=error)
        process.leave(1)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _death(kid: Kid) -> dict[str, Any]:
    """What the supervisor would have said of a child that is gone. One that went in order has cleared its slots."""
    runs = [run for run in kid.seat.running() if not run.judged]
    return {
        "pid": kid.pid,
        "leases": kid.leases,
        "charge": {run.task_id: run.deliveries for run in runs},
        "judged": {},
    }


def work(plan: Plan, seats: list[Seat], link: Link, known: Known, deaths: Sequence[Note]) -> None:
    """Be the keeper, in a process that was just forked, until its end."""
    process.settle_in()
    process.run(Keeper(plan, seats, link, known, os.getppid()).run(deaths))
