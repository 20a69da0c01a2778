"""The pool for coroutine functions: one asyncio task each, at most `slots` at once, the others wait their turn.

An interrupt can be any exception: it is raised at the await that the coroutine stands at. Touches the loop only.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextvars import Context, copy_context
from typing import Any, cast

from penstock.worker.job import Job, Terminated

Step = Coroutine[Any, Any, Any]


class Coroutines:
    """`slots` coroutines at once. `run` runs one job and never raises."""

    def __init__(
        self,
        slots: int,
        run: Callable[[Job], Coroutine[Any, Any, None]],
        ended: Callable[[Sequence[Job]], None],
    ) -> None:
        self.slots = slots
        self.run = run
        self.ended = ended
        self.busy = 0  #: jobs that are in here, waiting or running
        self.waiting: deque[Job] = deque()
        self.active = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._base: Context = copy_context()
        self._done: list[Job] = []

    def submit(self, jobs: Sequence[Job]) -> None:
        """Run these, in this order, as slots come free."""
        self.busy += len(jobs)
        self.waiting.extend(jobs)
        self._fill()

    def withdraw(self, before: float) -> list[Job]:
        """Take out what was received before that time (monotonic) and still waits."""
        found: list[Job] = []
        while self.waiting and self.waiting[0].received < before:
            found.append(self.waiting.popleft())
        self.busy -= len(found)
        return found

    def remove(self, job: Job) -> bool:
        """Take one job out; False if it does not wait (any more)."""
        if job not in self.waiting:
            return False
        self.waiting.remove(job)
        self.busy -= 1
        return True

    def stop(self) -> None:
        """Cancel what runs."""
        for task in self._tasks:
            task.cancel()

    def _fill(self) -> None:
        while self.waiting and self.active < self.slots:
            job = self.waiting.popleft()
            self.active += 1
            task = self._loop.create_task(self._one(job), context=self._base.copy())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _one(self, job: Job) -> None:
        await self.run(job)
        self.active -= 1
        if not self._done:  # those that end in the same turn of the loop are told together
            self._loop.call_soon(self._collect)
        self._done.append(job)

    def _collect(self) -> None:
        done, self._done = self._done, []
        self.busy -= len(done)
        self._fill()
        self.ended(done)


class Interruptible:
    """Awaits a coroutine step by step, so that something else than CancelledError can be raised at its await.

    Belongs to the asyncio task that awaits it.
    """

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self.step = cast(Step, awaitable) if inspect.iscoroutine(awaitable) else _awaiting(awaitable)
        self.error: type[BaseException] | None = None
        self._task = asyncio.current_task()

    def interrupt(self, job: Job, error: type[BaseException]) -> None:
        """Raise `error` at the await; Terminated comes as a plain cancellation, which cleans up as anywhere else."""
        job.interrupt = error
        self.error = None if error is Terminated else error
        if self._task is not None:
            self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        send, throw = self.step.send, self.step.throw
        error: BaseException | None = None
        value: Any = None
        try:
            while True:
                awaited = send(value) if error is None else throw(error)
                value = error = None
                try:
                    value = yield awaited
                except BaseException as raised:  # whatever it is, it is for the coroutine inside
                    error = self._translated(raised)
        except StopIteration as end:
            return end.value

    def _translated(self, raised: BaseException) -> BaseException:
        if self.error is None or not isinstance(raised, asyncio.CancelledError):
            return raised
        error, self.error = self.error, None
        if self._task is not None:
            self._task.uncancel()  # the task goes on: a later asyncio.timeout must not see a cancellation
        return error()


async def _awaiting(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
