"""AsyncResult: the handle of a submitted task. Every call has an a-twin for use on an event loop."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Generic, Protocol, TypeVar

from penstock.client import operations
from penstock.client.portal import Portal
from penstock.client.submit import Submitter
from penstock.core.arguments import Arguments
from penstock.core.encoding import loads
from penstock.core.errors import Conflict, ResultTimeout
from penstock.core.failure import exception_of
from penstock.core.record import Record
from penstock.core.states import ENDED, FAILURE, PENDING, RETRY, REVOKED, SUCCESS

R = TypeVar("R")


class _Task(Protocol):
    @property
    def arguments(self) -> Arguments: ...


class _App(Protocol):
    """What a result needs of its app."""

    @property
    def portal(self) -> Portal: ...

    @property
    def tasks(self) -> Mapping[str, _Task]: ...


class AsyncResult(Generic[R]):
    """A task's state and result, looked up when asked for. An id that nobody knows is PENDING, as in Celery."""

    def __init__(self, id: str, app: _App) -> None:  # noqa: A002 - Celery's name for it
        self.id = id
        self.app = app

    @property
    def task_id(self) -> str:
        """The same as `id`."""
        return self.id

    # ------------------------------------------------------------------------------------------------------- the result

    def get(self, timeout: float | None = None, propagate: bool = True, interval: float | None = None) -> R:
        """Wait for the task to end and return its result, or raise what it raised.

        The result of a task that is registered here comes as the type that its return hint names.
        `timeout` is in seconds, None waits for ever; `interval` is accepted for Celery's sake: nothing is polled.
        With `propagate=False` an exception is returned, not raised. The worker's traceback is a note of the exception.
        Raises ResultTimeout, TaskRevokedError, the task's own exception, or RemoteError where its class is not
        importable here; RuntimeError on a thread that runs an event loop.
        """
        del interval
        return self.app.portal.call(lambda submitter: self._get(submitter, timeout, propagate), waits=True)

    async def aget(self, timeout: float | None = None, propagate: bool = True) -> R:
        """Wait for the task to end, as `get`."""
        return await self.app.portal.acall(lambda submitter: self._get(submitter, timeout, propagate))

    @property
    def result(self) -> Any:
        """What is there by now: the value, the exception of a failed, revoked or retried task, or None."""
        return self._value(self._record())

    async def aresult(self) -> Any:
        """What is there by now, as `result`."""
        return self._value(await self._arecord())

    @property
    def traceback(self) -> str | None:
        """The traceback of a failed or retried task, as text."""
        return _traceback(self._record())

    async def atraceback(self) -> str | None:
        """The traceback, as `traceback`."""
        return _traceback(await self._arecord())

    # -------------------------------------------------------------------------------------------------------- the state

    @property
    def status(self) -> str:
        """PENDING, RECEIVED, STARTED, RETRY, SUCCESS, FAILURE or REVOKED."""
        return _state(self._record())

    state = status

    async def astatus(self) -> str:
        """The state, as `status`."""
        return _state(await self._arecord())

    astate = astatus

    def ready(self) -> bool:
        """Whether the task has ended."""
        return self.status in ENDED

    async def aready(self) -> bool:
        """Whether the task has ended."""
        return await self.astatus() in ENDED

    def successful(self) -> bool:
        """Whether the task ended well."""
        return self.status == SUCCESS

    async def asuccessful(self) -> bool:
        """Whether the task ended well."""
        return await self.astatus() == SUCCESS

    def failed(self) -> bool:
        """Whether the task ended in FAILURE."""
        return self.status == FAILURE

    async def afailed(self) -> bool:
        """Whether the task ended in FAILURE."""
        return await self.astatus() == FAILURE

    @property
    def date_done(self) -> datetime | None:
        """When the task ended (UTC)."""
        return _date_done(self._record())

    async def adate_done(self) -> datetime | None:
        """When the task ended, as `date_done`."""
        return _date_done(await self._arecord())

    @property
    def progress(self) -> dict[str, Any] | None:
        """The last progress report: {"fraction", "message", …}."""
        return _progress(self._record())

    async def aprogress(self) -> dict[str, Any] | None:
        """The last progress report, as `progress`."""
        return _progress(await self._arecord())

    @property
    def children(self) -> list[AsyncResult[Any]]:
        """The tasks that this one submitted, as far as is known; complete when it has ended."""
        return self._children(self._record())

    async def achildren(self) -> list[AsyncResult[Any]]:
        """The tasks that this one submitted, as `children`."""
        return self._children(await self._arecord())

    # ------------------------------------------------------------------------------------------------------- operations

    def forget(self) -> None:
        """Delete the record of a task that has ended; of another one nothing."""
        self.app.portal.call(self._forget)

    async def aforget(self) -> None:
        """Delete the record of a task that has ended, as `forget`."""
        await self.app.portal.acall(self._forget)

    def revoke(self, terminate: bool = False) -> None:
        """Cancel the task: it does not start any more. A running one is stopped with `terminate`.

        Nothing happens to a task that has ended. Raises NotFound, and Conflict for a running task without `terminate`.
        """
        self.app.portal.call(lambda submitter: _revoke(submitter, self.id, terminate))

    async def arevoke(self, terminate: bool = False) -> None:
        """Cancel the task, as `revoke`."""
        await self.app.portal.acall(lambda submitter: _revoke(submitter, self.id, terminate))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AsyncResult) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<AsyncResult: {self.id}>"

    async def _get(self, submitter: Submitter, timeout: float | None, propagate: bool) -> R:
        ended = await operations.wait(submitter.backends, [self.id], timeout)
        if self.id not in ended:
            raise ResultTimeout(f"task {self.id} has not ended after {timeout} s")
        found: R = self._value(ended[self.id])
        if propagate and ended[self.id].state != SUCCESS:
            raise found  # type: ignore[misc]  # `_value` gives an exception for every ending but SUCCESS
        return found

    async def _forget(self, submitter: Submitter) -> None:
        await submitter.backends.results.records.forget([self.id])

    def _record(self) -> Record | None:
        return self.app.portal.call(lambda submitter: _look(submitter, self.id))

    async def _arecord(self) -> Record | None:
        return await self.app.portal.acall(lambda submitter: _look(submitter, self.id))

    def _value(self, record: Record | None) -> Any:
        """The value of a success as the type that the task's return hint names, if the task is known here."""
        if record is None:
            return None
        found = None if record.result is None else loads(record.result)
        if record.state in {FAILURE, REVOKED, RETRY}:
            return _exception(found, record)
        task = self.app.tasks.get(record.task)
        return found if task is None else task.arguments.result(found)

    def _children(self, record: Record | None) -> list[AsyncResult[Any]]:
        return [AsyncResult(task_id, self.app) for task_id in (record.children if record else ())]


async def _look(submitter: Submitter, task_id: str) -> Record | None:
    return (await submitter.backends.results.records.get([task_id])).get(task_id)


async def _revoke(submitter: Submitter, task_id: str, terminate: bool) -> None:
    try:
        await operations.cancel(submitter.backends, task_id, terminate)
    except Conflict as error:
        if error.state not in ENDED:
            raise


def _state(record: Record | None) -> str:
    return PENDING if record is None else record.state


def _exception(found: Any, record: Record) -> Exception:
    error = exception_of(found if isinstance(found, dict) else {})
    if record.traceback:
        error.add_note(f"in the worker {record.worker}:\n{record.traceback.rstrip()}")
    return error


def _traceback(record: Record | None) -> str | None:
    return None if record is None else record.traceback


def _date_done(record: Record | None) -> datetime | None:
    return None if record is None or record.finished_at is None else datetime.fromtimestamp(record.finished_at, UTC)


def _progress(record: Record | None) -> dict[str, Any] | None:
    return loads(record.progress) if record is not None and record.progress else None
