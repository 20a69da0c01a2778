"""Running one task: everything that surrounds its own code, on a thread or on the loop.

Writes down the run before and after it, sets the context that `self.request`, `self.progress` and submissions read,
times it, encodes its result and words its failure. Never raises, but for an interrupt that strikes in here.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import TYPE_CHECKING, Any

from penstock.client.context import Running, running
from penstock.core.encoding import dumps
from penstock.core.errors import Retry
from penstock.worker import output
from penstock.worker.coroutines import Interruptible
from penstock.worker.job import Job, Terminated
from penstock.worker.slots import Seat

if TYPE_CHECKING:
    from penstock.client.app import Penstock

QUICK = 0.0005  #: seconds in which no process can be started
LOOK, PATIENCE = 0.0005, 0.1  #: seconds between looks for lines that are not read yet, and for which they are awaited
_OURS = str(Path(__file__).parent.parent)  # frames in here are not the user's
_MAX_TRACEBACK = 64 * 1024  # characters; more helps nobody and is stored with every failure


class Runs:
    """Runs the jobs of one child."""

    def __init__(
        self,
        app: Penstock,
        seat: Seat,
        worker: str,
        *,
        report: Callable[[Job, bytes], None],
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.app = app
        self.seat = seat
        self.worker = worker
        self.report = report
        self.clock = clock
        self.monotonic = monotonic
        self._base = copy_context()

    def plain(self, job: Job) -> None:
        """Run a plain function on the calling thread."""
        if job.revoked:
            return
        self._begin(job)
        try:
            job.value = self._base.copy().run(self._call, job)
        except BaseException as error:  # SystemExit and the like end the task, never the worker
            self._failed(job, error)
        try:
            if not self._quick(job):
                for _ in self._unread():
                    time.sleep(LOOK)
        finally:
            self._end(job)

    async def coroutine(self, job: Job) -> None:
        """Run a coroutine function; the caller gives each job an asyncio task and a context of its own."""
        self._begin(job)
        try:
            running.set(self._context(job))
            job.runner = inside = Interruptible(job.task.call(job.request))
            job.value = _encoded(job, await inside)
        except BaseException as error:  # as above; and a cancellation of this asyncio task has done its work now
            self._failed(job, error)
        with suppress(BaseException):  # interrupted now, after its code has come back: nothing is changed by that
            if not self._quick(job):
                for _ in self._unread():
                    await asyncio.sleep(LOOK)
        self._end(job)

    def _begin(self, job: Job) -> None:
        job.started_at = self.clock()
        job.begun = now = self.monotonic()
        attempt = job.request.retries + 1
        job.slot = self.seat.begin(
            job.task_id, job.deliveries, job.kind_index, job.started_at, now + job.hard, attempt=attempt
        )

    def _end(self, job: Job) -> None:
        slot, job.slot = job.slot, -1
        now = self.monotonic()
        if not self.seat.alone or now - job.begun > PATIENCE:
            for descriptor in output.unread():
                self.seat.blur(descriptor, now)  # or it would be told as that of who is left, or comes next
        self.seat.end(slot)
        job.kind.learn(now - job.begun)

    def _quick(self, job: Job) -> bool:
        """Whether it was over before it could have started a program."""
        return self.monotonic() - job.begun < QUICK

    def _unread(self) -> Iterator[None]:
        """A turn for each moment in which what the task's programs have printed is not read yet: it is to have its id.

        Of tasks beside one another nobody knows which one's it was.
        """
        if not self.seat.alone:
            return
        now = self.monotonic()
        while output.unread() and self.monotonic() < now + PATIENCE:
            yield

    def _call(self, job: Job) -> bytes | None:
        running.set(self._context(job))
        return _encoded(job, job.task.call(job.request))

    def _context(self, job: Job) -> Running:
        children: list[str] = []
        job.children = children
        return Running(
            request=job.request,
            app=self.app,
            report=lambda progress: self.report(job, progress),
            children=children,
            worker=self.worker,
        )

    def _failed(self, job: Job, error: BaseException) -> None:
        job.error = error
        if not isinstance(error, (Terminated, asyncio.CancelledError)) or not job.judged:
            job.traceback = _worded(error)


def _encoded(job: Job, value: Any) -> bytes | None:
    if isinstance(value, (GeneratorType, CoroutineType, AsyncGeneratorType)):
        kind = type(value).__name__.replace("_", " ")
        if isinstance(value, CoroutineType):
            value.close()  # nobody will await it
        raise TypeError(f"{job.request.task} returned a {kind}; a task returns a value, such as a list")
    return None if job.ignores_result else dumps(value, where="result")


def _worded(error: BaseException) -> str:
    """The traceback as text, from the first frame of the user's own on."""
    told = error.cause if isinstance(error, Retry) and error.cause is not None else error
    text = "".join(traceback.format_exception(type(told), told, _users(told.__traceback__)))
    text = text.encode("utf-8", "backslashreplace").decode()  # a file name that is not UTF-8 has lone surrogates
    return text if len(text) <= _MAX_TRACEBACK else f"{text[:1000]}\n[…]\n{text[-_MAX_TRACEBACK:]}"


def _users(trace: TracebackType | None) -> TracebackType | None:
    inner = trace
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(_OURS):
        inner = inner.tb_next
    return inner or trace
