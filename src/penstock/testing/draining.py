"""Running what is queued, here and now: a worker without its processes, which goes when nothing is left to do.

Everything is as in a worker: encoding, checks, retries, time limits, records. Only leases are not renewed, and plain
functions run on the thread that called, so that a test's database transaction or patch is theirs too.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Final

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.client.result import AsyncResult
from penstock.core.broker import Consumer
from penstock.core.errors import PenstockError
from penstock.core.ids import new_id
from penstock.core.message import Delivery
from penstock.core.record import Filter
from penstock.core.states import ENDED, WAITING
from penstock.core.step import Step
from penstock.testing.clock import Clock
from penstock.worker import slots
from penstock.worker.engine import Engine, Setup
from penstock.worker.job import Job
from penstock.worker.session import Session
from penstock.worker.threads import CallingThread

WORKER: Final = "drain@test"  #: stands in records where a worker's name does
_LONG: Final = 1e9  # seconds that the lease is good for: nobody renews it
_CONCURRENCY: Final = 100  # coroutines at once


def drain(app: Penstock, *, delayed: bool = False, propagate: bool = False) -> list[AsyncResult[Any]]:
    """Run all tasks that are ready, and those that they submit, until none is left; return those that ended, in order.

    What waits for its time (a countdown, an eta, a retry) waits on: advance the clock, or have it advanced to each
    one's time with `delayed`. With `propagate` the first failure among them is raised when all is done.

    Plain functions run on this thread, one at a time, coroutine functions on an event loop of their own. Raises
    RuntimeError on a thread that runs an event loop: use `adrain` there.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        ended = _Lent(app, delayed).run()
    else:
        raise RuntimeError("this thread runs an event loop; use `await adrain(app)`")
    results = [app.AsyncResult(task_id) for task_id in ended]
    for result in results if propagate else ():
        if result.failed():
            result.get()
    return results


async def adrain(app: Penstock, *, delayed: bool = False, propagate: bool = False) -> list[AsyncResult[Any]]:
    """Run all tasks that are ready, as `drain`; coroutine functions on this event loop, plain ones on a thread."""
    async with app.backends() as backends:
        ended = await _Drain(app, backends, lambda: None).run(delayed)
    results = [app.AsyncResult(task_id) for task_id in ended]
    for result in results if propagate else ():
        if await result.afailed():
            await result.aget()
    return results


class _Drain:
    """Runs an app's tasks in passes, until nothing is ready. `lend` gives a thread for plain functions to each pass."""

    def __init__(self, app: Penstock, backends: Backends, lend: Callable[[], CallingThread | None]) -> None:
        self.app = app
        self.backends = backends
        self.lend = lend

    async def run(self, delayed: bool) -> list[str]:
        """The ids of the tasks that ended meanwhile."""
        changes = self.backends.results.records.changes
        newest = await changes(None)
        while await self._pass() or (delayed and await self._advanced()):
            pass
        ended: list[str] = []
        after = newest[-1].seq if newest else -1
        while lines := await changes(after):
            ended += [line.task_id for line in lines if line.state in ENDED]
            after = lines[-1].seq
        return ended

    async def _pass(self) -> bool:
        """Run what is in the queues until they are empty; False if they were."""
        loop, lease = asyncio.get_running_loop(), new_id()
        queues = [*self.app.queues, *(depth.name for depth in await self.backends.broker.depth())]
        await self.backends.results.leases.open(lease, WORKER, _LONG)
        consumer = _Counted(self.backends.broker.consume(queues, lease))
        broken: asyncio.Future[None] = loop.create_future()
        engine = self._engine(broken)
        try:
            engine.start()
            engine.begin(Session(lease, consumer))
            idle = loop.create_task(_idle(engine, consumer))
            await asyncio.wait((idle, broken), return_when=asyncio.FIRST_COMPLETED)
            idle.cancel()
            if broken.done():
                broken.result()
            await engine.stop()
            await engine.finish()
        finally:
            broken.cancel()
            await engine.close()
            await self.backends.results.leases.close([lease])
        return consumer.taken > 0

    def _engine(self, broken: asyncio.Future[None]) -> Engine:
        seat = slots.seats(1, 2 + _CONCURRENCY)[0]
        seat.renewed(math.inf)

        def failed(error: BaseException) -> None:
            if not broken.done():
                broken.set_exception(error)

        def stuck(job: Job) -> None:
            failed(PenstockError(f"task {job.request.task} ({job.task_id}) does not stop at its time limit"))

        return Engine(
            Setup(
                app=self.app,
                backends=self.backends,
                worker=WORKER,
                seat=seat,
                threads=1,
                concurrency=_CONCURRENCY,
                main=self.lend(),
            ),
            lost=lambda _: failed(PenstockError("the lease was lost: who moved the clock by years?")),
            stuck=stuck,
            broken=failed,
            clock=self.app.clock,
        )

    async def _advanced(self) -> bool:
        """Move the clock to the time of the task that waits for the nearest; False if none waits."""
        clock = self.app.clock
        if not isinstance(clock, Clock):
            raise TypeError("only a test's own clock can be advanced: drain(app, delayed=True) within memory(app)")
        cursor, etas = None, []
        while True:
            page = await self.backends.results.records.page(Filter(states=tuple(WAITING)), 1000, cursor)
            etas += [record.eta for record in page.items if record.eta is not None and record.eta > clock()]
            cursor = page.next
            if cursor is None:
                break
        if etas:
            clock.move_to(min(etas))
        return bool(etas)


class _Counted(Consumer):
    """A consumer that knows how much was taken from it, and whether there is more."""

    def __init__(self, consumer: Consumer) -> None:
        self.taken = 0
        self.empty = False  #: the last fetch found nothing
        self._consumer = consumer

    async def fetch(self, limit: int) -> list[Delivery]:
        deliveries = await self._consumer.fetch(limit)
        self.taken += len(deliveries)
        self.empty = not deliveries
        return deliveries

    def settle(self, deliveries: Sequence[Delivery]) -> Step[None]:
        return self._consumer.settle(deliveries)

    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[None]:
        return self._consumer.hand_back(deliveries, delay)

    def nudge(self) -> None:
        self._consumer.nudge()

    async def stop(self) -> None:
        await self._consumer.stop()


async def _idle(engine: Engine, consumer: _Counted) -> None:
    """Wait until nothing runs, and a fetch has come back with nothing meanwhile."""
    while True:
        await engine.finish()
        consumer.empty = False
        while not consumer.empty and not engine.floor.held:
            consumer.nudge()
            await asyncio.sleep(0)
        if not engine.floor.held:
            return


class _Here(CallingThread):
    """The thread that called `drain`, for the plain functions of one pass. Ctrl-C ends the test, not the task."""

    interrupted = False

    def work(self) -> None:
        """Take jobs until the pool stops."""
        self.ident = threading.get_ident()
        while self._cycle():
            pass

    def _run(self, job: Job) -> None:
        super()._run(job)
        self.interrupted = self.interrupted or isinstance(job.error, KeyboardInterrupt)


class _Lent:
    """The calling thread serves one pass after another, while the event loop has a thread of its own."""

    def __init__(self, app: Penstock, delayed: bool) -> None:
        self.app = app
        self.delayed = delayed
        self.ended: list[str] = []
        self.error: BaseException | None = None
        self._passes: SimpleQueue[_Here | None] = SimpleQueue()

    def run(self) -> list[str]:
        thread = threading.Thread(target=self._loop, name="penstock-drain", daemon=True)
        thread.start()
        while (here := self._passes.get()) is not None:
            here.serve()
            if here.interrupted:
                raise KeyboardInterrupt
        thread.join()
        if self.error is not None:
            raise self.error
        return self.ended

    def _loop(self) -> None:
        try:
            self.ended = asyncio.run(self._drain())
        except BaseException as error:  # whatever it is, it is raised where drain was called
            self.error = error
        finally:
            self._passes.put(None)

    async def _drain(self) -> list[str]:
        async with self.app.backends() as backends:
            return await _Drain(self.app, backends, self._lend).run(self.delayed)

    def _lend(self) -> _Here:
        here = _Here()
        self._passes.put(here)
        return here
