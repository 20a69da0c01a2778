"""A child: one lease, one event loop, the pools. It fetches, runs and records until it is told to end, or ends itself.

It ends gently (no more fetching, the unstarted back, running tasks finish) when it is told to drain, when it has run
its share of tasks, outgrown its memory, lost a thread to a task that does not stop, or lost its parent.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from typing import Any

from penstock.client.backends import Backends
from penstock.core.broker import Declaration
from penstock.core.errors import Unavailable
from penstock.core.ids import new_id
from penstock.core.step import commit
from penstock.worker import logs, process, stacks
from penstock.worker.chronicler import EVERY
from penstock.worker.engine import Engine, Setup
from penstock.worker.errands import Errands
from penstock.worker.intake import BEAT
from penstock.worker.job import Job
from penstock.worker.links import Link, Note
from penstock.worker.options import Plan
from penstock.worker.patience import Patience
from penstock.worker.session import Session
from penstock.worker.slots import Seat
from penstock.worker.threads import MainThread

log = logging.getLogger("penstock.worker.child")

TICK = 1.0  #: seconds between two signs of life
AT_ONCE = 2.0  #: seconds for handing back when there is no time to finish, or no more


class Child:
    """One child process, from the opening of its back ends to its end."""

    def __init__(self, plan: Plan, seat: Seat, link: Link, lease: str, main: MainThread | None = None) -> None:
        self.plan = plan
        self.seat = seat
        self.link = link
        self.lease = lease  #: of the first session
        self.main = main
        self.backends: Backends = plan.app.backends()
        self.session: Session | None = None
        self.deadline: float | None = None  #: monotonic: until then running tasks may finish; None: for ever
        self.engine: Engine
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticks = 0
        self._errands = Errands()

    async def run(self) -> int:
        """Live; return the exit code."""
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()
        self._loop.add_reader(self.link.fileno(), self._read)
        opening = self._loop.create_task(self._open())
        ending = self._loop.create_task(self._ending.wait())
        await asyncio.wait((opening, ending), return_when=asyncio.FIRST_COMPLETED)
        if opening.done() and (error := opening.exception()) is not None:
            self.link.send({"fatal": str(error)})
            return 1
        if opening.done():
            await ending
            await self._end()
        self.link.send({"bye": True})
        return 0

    def terminate(self) -> None:
        """SIGTERM came to this process itself. From any thread, also in the middle of anything."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.end, self.plan.grace, "SIGTERM")

    def end(self, grace: float | None, reason: str) -> None:
        """Begin to end, or end sooner than was said before. `grace` None: running tasks take as long as they need."""
        if not self._ending.is_set():
            if reason:
                log.info("draining: %s", reason)
            self.link.send({"retiring": reason, "grace": grace})
            self._ending.set()
        if grace is not None:
            deadline = time.monotonic() + grace
            self.deadline = deadline if self.deadline is None else min(self.deadline, deadline)
            self._hurry.set()

    # ------------------------------------------------------------------------------------------------------- beginning

    async def _open(self) -> None:
        """Open the back ends, take out the lease, begin to fetch. An outage is waited out; what is unusable is not."""
        patience = Patience("starting", log, outages=(Unavailable,))
        await patience.run(self.backends.open)
        self.engine = Engine(
            Setup(
                app=self.plan.app,
                backends=self.backends,
                worker=self.plan.name,
                seat=self.seat,
                threads=self.plan.threads,
                concurrency=self.plan.concurrency,
                quota=self.plan.max_tasks if self.plan.raw is None else self.plan.raw.count,
                raw=self.plan.raw,
                main=self.main,
            ),
            lost=self._lost,
            stuck=self._stuck,
            broken=self._broken,
            full=self._full,
        )
        if self.plan.raw is None:
            logs.keep(self.engine.scribe.note)
        self.engine.start()
        await patience.run(lambda: self._begin(self.lease))
        self.link.send({"ready": True})
        self._tick()

    async def _begin(self, lease: str) -> None:
        """Open a session under a new lease."""
        now = time.monotonic()
        await self.backends.results.leases.open(lease, self.plan.name, self.plan.lease)
        self.seat.renewed(now)
        # whoever sees that this worker is ready may send: RabbitMQ drops what leads to no queue
        plain = [Declaration(queue) for queue in self.plan.queues]
        await self.backends.broker.declare(plain if self.plan.raw is None else self.plan.raw.declarations)
        self.session = Session(lease, self.backends.broker.consume(self.plan.queues, lease))
        self.engine.begin(self.session)

    def _lost(self, session: Session) -> None:
        self._errands.send(self._rejoin(session))

    async def _rejoin(self, old: Session) -> None:
        """Leave what was claimed under a lost lease to others, and go on under a new one."""
        await old.consumer.stop()
        await self.engine.intake.returned()
        lease = new_id()
        self.seat.renewed(0.0)
        self.link.send({"lease": lease})
        await Patience("rejoining", log).run(
            lambda: commit(self.backends.broker.release([old.lease]), self.backends.results.leases.close([old.lease]))
        )
        await Patience("rejoining", log).run(lambda: self._begin(lease))
        log.info("rejoined under a new lease")

    # ---------------------------------------------------------------------------------------------------------- living

    def _tick(self) -> None:
        now = time.monotonic()
        self._ticks += 1
        self.seat.ticked(now)
        self.engine.look()
        if self._ticks % round(BEAT / TICK) == 0:
            self.engine.intake.beat()
        if self._ticks % EVERY == 0 and self.engine.chronicler.chronicle.minutes:
            self._errands.send(self.engine.chronicler.tell())
        if self.plan.max_memory or self._ticks % 5 == 1:
            self._weigh()
        asyncio.get_running_loop().call_later(TICK, self._tick)

    def _weigh(self) -> None:
        size = process.resident()
        self.seat.resident(size)
        if 0 < self.plan.max_memory < size and not self._ending.is_set():
            self.end(None, f"{size >> 20} MiB of memory, the limit is {self.plan.max_memory >> 20}")

    def _full(self) -> None:
        if self.plan.raw is not None:
            self.link.send({"enough": True})
            self.end(None, f"{self.plan.raw.count} messages")
        else:
            self.end(None, f"{self.plan.max_tasks} tasks")

    def _stuck(self, job: Job) -> None:
        log.warning("%s %s does not stop; where this process stands:", job.request.task, job.task_id)
        sys.stderr.write(f"{stacks.text([job, *self.engine.floor.running()])}\n")  # lines, as SIGUSR1's are
        self.end(self.plan.grace, f"{job.request.task} does not stop")

    def _broken(self, error: BaseException) -> None:
        """A loop of the engine failed in a way that nobody foresaw: better a new process than half a one."""
        log.critical("the child cannot go on", exc_info=error)
        process.leave(1)

    def _read(self) -> None:
        for note in self.link.receive():
            self._note(note)
        if self.link.ended:
            asyncio.get_running_loop().remove_reader(self.link.fileno())
            self.end(self.plan.grace, "the supervisor is gone")

    def _note(self, note: Note) -> None:
        if "drain" in note:
            self.end(note["drain"], note["reason"])
        elif "lost" in note:
            if self.session is not None and self.session.lease == note["lost"]:
                self.engine.lose(self.session)
        elif "letter" in note:
            self.link.send({"answer": note["letter"], "result": self._answer(note)})

    def _answer(self, note: Note) -> Any:
        arguments = note.get("arguments", {})
        match note["method"]:
            case "cancel":
                cancel, terminate = self.engine.enforcer.cancel, bool(arguments.get("terminate"))
                done = {task_id: cancel(task_id, terminate) for task_id in arguments["task_ids"]}
                return {task_id: what for task_id, what in done.items() if what}  # those that are here
            case "stacks":
                return stacks.text(self.engine.floor.running())
            case _:
                return "pong"

    # ---------------------------------------------------------------------------------------------------------- ending

    async def _end(self) -> None:
        """Hand back the unstarted, let the running finish while there is time, hand back the rest, leave."""
        if await self._in_time(self.engine.stop()):
            await self._in_time(self.engine.finish())
            await self._in_time(self.engine.chronicler.tell())
            await self._in_time(self.engine.scribe.tell())
        self.deadline = time.monotonic() + AT_ONCE
        await self._in_time(self.engine.abandon())
        await self._in_time(self._leave())

    async def _in_time(self, work: Coroutine[Any, Any, None]) -> bool:
        """Whether `work` was done before the deadline, which may be drawn nearer meanwhile."""
        task = asyncio.get_running_loop().create_task(work)
        while not task.done():
            self._hurry.clear()
            left = None if self.deadline is None else self.deadline - time.monotonic()
            if left is not None and left <= 0:
                task.cancel()
                return False
            hurry = asyncio.get_running_loop().create_task(self._hurry.wait())
            await asyncio.wait((task, hurry), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
        return task.exception() is None

    async def _leave(self) -> None:
        """Close the lease: the keeper has nothing to do for a child that went in order."""
        if self.session is not None and self.session.alive:
            lease = [self.session.lease]
            await commit(self.backends.broker.release(lease), self.backends.results.leases.close(lease))
        await self.plan.app.aclose()
        await self.backends.close()
        self.seat.clear(time.monotonic())  # what still runs was handed back, and is charged to nobody


def work(plan: Plan, seat: Seat, link: Link, lease: str) -> None:
    """Be a child, on the main thread of a process that was just forked, until its end.

    In a process slot the main thread runs plain functions, and the loop has a thread of its own.
    """
    process.settle_in()
    gc.set_threshold(10_000)  # what a batch of tasks needs is not worth a look at every 700th object
    main = MainThread() if plan.process_slot else None
    child = Child(plan, seat, link, lease, main)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    if main is None:
        process.run(child.run())
    else:
        threading.Thread(target=lambda: process.run(child.run()), name="penstock-loop").start()
        main.serve()
        threading.Event().wait()  # the loop's thread ends the process
