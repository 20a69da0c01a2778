"""What was submitted, as a test wants to see it: oldest first, arguments by name, of one task if need be."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from penstock.client.app import Penstock
from penstock.client.result import AsyncResult
from penstock.client.submit import Submitter
from penstock.client.task import Task
from penstock.core.encoding import dumps, loads
from penstock.core.errors import EncodingError
from penstock.core.protocol import decode_task
from penstock.core.record import Filter, Record
from penstock.core.request import Request

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Submitted:
    """One submission. Times are unix seconds."""

    task: str
    args: list[Any]  #: as they travel: a dataclass is an object of its fields
    kwargs: dict[str, Any]
    arguments: dict[str, Any]  #: by the names of the task's parameters, defaults included
    queue: str
    priority: int
    eta: float | None
    expires: float | None
    headers: dict[str, Any]  #: the message's, one's own among them
    result: AsyncResult[Any]

    @property
    def task_id(self) -> str:
        return self.result.id

    def __str__(self) -> str:
        return f"{self.task}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"


class Submissions(Sequence[Submitted]):
    """All submissions to an app so far, or those `of` one task. It is read anew at each look."""

    def __init__(self, app: Penstock, task: str = "") -> None:
        self.app = app
        self.task = task  #: "": of every task

    def of(self, task: str | Task) -> Submissions:
        """Those of one task, given by name or as the task itself."""
        return Submissions(self.app, _name(task))

    def assert_submitted(self, task: str | Task, /, *args: Any, **kwargs: Any) -> Submitted:
        """Assert that a task was submitted with these arguments, by position or name; return the last such submission.

        Arguments that are not given may be anything.
        """
        found = self._matching(task, args, kwargs)
        if not found:
            raise AssertionError(f"{_called(task, args, kwargs)} was not submitted; {self._told()}")
        return found[-1]

    def assert_not_submitted(self, task: str | Task, /, *args: Any, **kwargs: Any) -> None:
        """Assert that a task was not submitted with these arguments, or not at all."""
        if self._matching(task, args, kwargs):
            raise AssertionError(f"{_called(task, args, kwargs)} was submitted; {self._told()}")

    @overload
    def __getitem__(self, index: int) -> Submitted: ...
    @overload
    def __getitem__(self, index: slice) -> list[Submitted]: ...
    def __getitem__(self, index: int | slice) -> Submitted | list[Submitted]:
        return self._all()[index]

    def __len__(self) -> int:
        return len(self._all())

    def __iter__(self) -> Iterator[Submitted]:
        return iter(self._all())

    def __repr__(self) -> str:
        return f"<Submissions: {', '.join(map(str, self._all())) or 'none'}>"

    def _all(self) -> list[Submitted]:
        return [self._one(record) for record in recorded(self.app, self.task)]

    def _one(self, record: Record) -> Submitted:
        request: Request = decode_task(record.message)
        return Submitted(
            task=record.task,
            args=request.args,
            kwargs=request.kwargs,
            arguments=_by_name(self.app.tasks.get(record.task), request.args, request.kwargs, defaults=True),
            queue=record.queue,
            priority=record.message.priority,
            eta=request.eta,
            expires=request.expires,
            headers=request.headers,
            result=self.app.AsyncResult(record.task_id),
        )

    def _matching(self, task: str | Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Submitted]:
        wanted = _by_name(self.app.tasks.get(_name(task)), args, kwargs, defaults=False)
        expected = {name: _travelled(value) for name, value in wanted.items()}
        return [each for each in self.of(task) if _fits(each.arguments, expected)]

    def _told(self) -> str:
        return f"submitted were: {', '.join(map(str, self._all())) or 'none'}"


def submitted(app: Penstock) -> Submissions:
    """What was submitted to an app, oldest first: `submitted(app).of("add")[0].arguments == {"x": 2, "y": 3}`."""
    return Submissions(app)


def recorded(app: Penstock, task: str = "") -> list[Record]:
    """The records of an app, or of one of its tasks, oldest first."""
    return app.portal.call(lambda submitter: _recorded(submitter, Filter(tasks=(task,) if task else ())))


async def _recorded(submitter: Submitter, which: Filter) -> list[Record]:
    page = await submitter.backends.results.records.page(which, 1000)
    items = page.items
    while page.next is not None:
        page = await submitter.backends.results.records.page(which, 1000, page.next)
        items = [*items, *page.items]
    return items[::-1]


def _name(task: str | Task) -> str:
    return task if isinstance(task, str) else task.name


def _by_name(task: Task | None, args: Sequence[Any], kwargs: Mapping[str, Any], *, defaults: bool) -> dict[str, Any]:
    """Arguments by their parameters' names, as far as a signature tells; by their index where it does not."""
    try:
        if task is None:
            raise TypeError
        bound = inspect.signature(task.run, follow_wrapped=False).bind_partial(*args, **kwargs)
    except (TypeError, ValueError):
        return {**{f"args[{index}]": value for index, value in enumerate(args)}, **kwargs}
    if defaults:
        bound.apply_defaults()
    named = {name: _travelled(value) for name, value in bound.arguments.items()}
    spread = next((p.name for p in bound.signature.parameters.values() if p.kind is p.VAR_KEYWORD), "")
    return {**named, **named.pop(spread)} if spread in named else named


def _travelled(value: Any) -> Any:
    """The value as it comes out of a message."""
    try:
        return loads(dumps([value]))[0]
    except EncodingError:  # a default that was not sent may be anything
        return value


def _fits(arguments: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    return all(arguments.get(name, _ABSENT) == value for name, value in expected.items())


def _called(task: str | Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    given = [repr(value) for value in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
    return f"{_name(task)}({', '.join(given)})"
