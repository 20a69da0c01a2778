"""Eager mode, for tests: a submitted task runs at once in its caller, as with Celery's task_always_eager.

Its record is kept in this process's memory, so that results, states and children are looked up as ever. Delays, expiry
and time limits mean nothing here; retries follow at once. To run tasks as a worker does: penstock.testing.drain.
"""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final, Protocol

from penstock.client.context import Running, running
from penstock.client.portal import Portal
from penstock.client.submit import Submission, Submitter
from penstock.client.task import Task
from penstock.core.encoding import dumps
from penstock.core.errors import Ignore, MaxRetriesExceededError, NotRegistered, Retry
from penstock.core.failure import encode_failure
from penstock.core.ids import new_id
from penstock.core.message import Delivery, Message
from penstock.core.protocol import decode_task, retry_of
from penstock.core.record import Ending, Start
from penstock.core.results import ResultBackend
from penstock.core.settings import Settings
from penstock.core.states import FAILURE, RETRY, SUCCESS

Complete = Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]

WORKER: Final = "eager"  #: stands in records where a worker's name does
_FOR_EVER: Final = 1e9  # seconds


class App(Protocol):
    """What an eager run needs of its app."""

    @property
    def portal(self) -> Portal: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def clock(self) -> Callable[[], float]: ...
    @property
    def tasks(self) -> Mapping[str, Task]: ...


def run(app: App, submission: Submission) -> None:
    """Run a submission to its end. Raises what the task raised if `eager_propagates` is set."""
    _told(app, app.portal.call(lambda submitter: _run(app, submitter, submission, _apart)))


async def arun(app: App, submission: Submission) -> None:
    """Run a submission to its end, as `run`; a coroutine function runs on this event loop."""
    _told(app, await app.portal.acall(lambda submitter: _run(app, submitter, submission, _here)))


def _told(app: App, error: Exception | None) -> None:
    if error is not None and app.settings.eager_propagates:
        raise error


async def _run(app: App, submitter: Submitter, submission: Submission, complete: Complete) -> Exception | None:
    """All attempts; the error that the last one ended with."""
    results, lease = submitter.backends.results, new_id()
    await results.records.create([submission.record])
    await results.leases.open(lease, WORKER, _FOR_EVER)
    try:
        run = _Run(app, results, lease)
        message: Message | None = submission.message
        while message is not None:
            message = await run.attempt(message, complete)
        return run.error
    finally:
        await results.leases.close([lease])


class _Run:
    """The run of one task, attempt by attempt."""

    def __init__(self, app: App, results: ResultBackend, lease: str) -> None:
        self.app = app
        self.results = results
        self.lease = lease
        self.error: Exception | None = None  #: what the last attempt raised

    async def attempt(self, message: Message, complete: Complete) -> Message | None:
        """Run once and write down how it ended; return the next attempt's message if there is to be one."""
        request, delivery, began = decode_task(message), Delivery(message, None), self.app.clock()
        request.is_eager, request.hostname, request.deliveries = True, WORKER, 1
        start = Start(delivery=delivery, worker=WORKER, pid=os.getpid(), started_at=began, deliveries=1)
        await self.results.records.start([start], self.lease)
        inside = Running(request, self.app, self._report(request.id), worker=WORKER)
        token = running.set(inside)
        value, self.error = None, None
        try:
            value = await self._value(inside, complete)
        except Exception as error:  # a task may raise anything
            self.error = error
        finally:
            running.reset(token)
        again = self._again(inside, message)
        await self.results.records.finish([self._ending(inside, delivery, began, value, again is not None)], self.lease)
        return again

    async def _value(self, inside: Running, complete: Complete) -> bytes | None:
        request = inside.request
        task = self.app.tasks.get(request.task)
        if task is None:
            raise NotRegistered(request.task)
        value = task.call(request)
        if task.is_async:
            value = await complete(value)
        said = request.ignore_result
        ignored = task.options.ignore_result if said is None else said
        return None if ignored else dumps(value, where="result")

    def _again(self, inside: Running, message: Message) -> Message | None:
        request, error = inside.request, self.error
        task = self.app.tasks.get(request.task)
        if error is None or task is None or not task.options.retry.allows(error, request.retries):
            return None
        body = error.body if isinstance(error, Retry) else None
        return retry_of(message, retries=request.retries + 1, due=None, body=body)

    def _ending(self, inside: Running, delivery: Delivery, began: float, value: bytes | None, again: bool) -> Ending:
        if isinstance(self.error, Ignore):
            self.error = None
        elif isinstance(self.error, Retry) and not again:
            self.error = _given_up(self.error)
        told = self.error
        return Ending(
            delivery=delivery,
            state=RETRY if again else SUCCESS if told is None else FAILURE,
            started_at=began,
            finished_at=self.app.clock(),
            worker=WORKER,
            pid=os.getpid(),
            result=value if told is None else encode_failure(told),
            traceback=None if told is None else "".join(traceback.format_exception(told)),
            children=inside.children,
            retries=inside.request.retries,
        )

    def _report(self, task_id: str) -> Callable[[bytes], None]:
        def report(progress: bytes) -> None:
            self.app.portal.call(lambda submitter: self._progress(submitter, task_id, progress))

        return report

    async def _progress(self, submitter: Submitter, task_id: str, progress: bytes) -> None:
        await submitter.backends.results.records.progress({task_id: progress}, self.lease)


def _given_up(retry: Retry) -> Exception:
    """What a task failed with that wanted more retries than it may have."""
    return retry.cause if isinstance(retry.cause, Exception) else MaxRetriesExceededError(str(retry))


async def _here(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return await coroutine


async def _apart(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine from plain code; on a thread of its own if this one's event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(coroutine)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(copy_context().run, asyncio.run, coroutine).result()
