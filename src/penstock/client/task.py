"""Task: what `@app.task` returns, and the base of tasks that are classes."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from math import isfinite
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Protocol, TypeVar

from penstock.client.around import Around
from penstock.client.context import running
from penstock.client.result import AsyncResult
from penstock.core import options as checks
from penstock.core.arguments import Arguments
from penstock.core.encoding import dumps
from penstock.core.errors import ConfigurationError, InvalidOptions, MaxRetriesExceededError, Retry
from penstock.core.protocol import encode_body
from penstock.core.request import Request
from penstock.core.task import TASK_OPTIONS, TaskOptions

P = ParamSpec("P")
R = TypeVar("R")

#: Celery's ways to put tasks together.
_WORKFLOWS: Final = frozenset(
    {"s", "si", "signature", "subtask", "chunks", "map", "starmap", "replace", "add_to_chord"}
)


class App(Protocol):
    """What a task needs of its app."""

    @property
    def clock(self) -> Callable[[], float]: ...

    around: Around | None  #: entered around every run of a task

    def submit(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], check: bool = True
    ) -> AsyncResult[Any]:
        """Submit and return the handle."""

    async def asubmit(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], check: bool = True
    ) -> AsyncResult[Any]:
        """Submit on the running event loop and return the handle."""


class _NoApp:
    """Stands where a task has no app yet."""

    clock = staticmethod(time.time)
    around: Around | None = None

    def submit(self, task: str, *_: Any) -> AsyncResult[Any]:
        raise ConfigurationError(f"task {task} belongs to no app; register it with app.register_task")

    async def asubmit(self, task: str, *_: Any) -> AsyncResult[Any]:
        return self.submit(task)


class Task:
    """A registered task. Calling it runs it here and now; `delay` and `apply_async` queue it for a worker.

    As a base class (`class Resize(app.Task): def run(self, path): …`): the class's name is the task's name, and class
    attributes that are called like options are its options. A subclass of `app.Task` is registered when it is defined,
    unless it says `abstract = True`; one of `penstock.Task` by `app.register_task`.
    """

    app: App = _NoApp()
    name: str = ""
    options: TaskOptions = TaskOptions()

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        cls.name = vars(cls).get("name") or cls.__name__

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """What the task does."""
        raise NotImplementedError(f"{type(self).__name__} has no run method")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it here, without a queue."""
        return self.run(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<task {self.name}>"

    if not TYPE_CHECKING:  # a type checker must see that they are missing

        def __getattr__(self, name: str) -> Any:
            if name in _WORKFLOWS:
                raise AttributeError(f"{name}: workflows come in a later version of Penstock")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # --------------------------------------------------------------------------------------------------- to a worker

    def delay(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Queue the task with these arguments. Raises SubmitError if they do not fit; then nothing is queued."""
        return self.app.submit(self.name, args, kwargs, {})

    async def adelay(self, *args: Any, **kwargs: Any) -> AsyncResult[Any]:
        """Queue the task, as `delay`."""
        return await self.app.asubmit(self.name, args, kwargs, {})

    def apply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[Any]:
        """Queue the task with options: queue, priority, countdown, eta, expires, task_id, headers, time_limit and more.

        `connection` queues it as part of a transaction of yours, `on_commit` after its commit: docs/transactions.md.
        Seconds and datetimes are both fine for `expires`; a datetime without a zone is UTC. Raises SubmitError.
        """
        return self.app.submit(self.name, args or (), kwargs or {}, options)

    async def aapply_async(
        self, args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> AsyncResult[Any]:
        """Queue the task with options, as `apply_async`."""
        return await self.app.asubmit(self.name, args or (), kwargs or {}, options)

    # ------------------------------------------------------------------------------------------------------ in a worker

    is_program = False  #: it waits for a program, which takes a core of its own

    def check(self) -> None:
        """Raise ConfigurationError if it cannot run on this machine; asked before a worker takes its messages."""

    @cached_property
    def arguments(self) -> Arguments:
        """The contract that the signature of `run` states. Made at first use, when all names in its hints exist."""
        return Arguments(self.run, task=self.name)

    @cached_property
    def is_async(self) -> bool:
        """Whether it runs on the worker's event loop."""
        run = self.run
        return inspect.iscoroutinefunction(run) or inspect.iscoroutinefunction(type(run).__call__)

    def call(self, request: Request) -> Any:
        """Run it with the arguments of a message, rebuilt as the hints' types; a coroutine if `is_async`."""
        args, kwargs = self.arguments.rebuild(request.args, request.kwargs)
        around = self.app.around
        if around is None:
            return self.run(*args, **kwargs)
        return (around.arun if self.is_async else around.run)(lambda: self.run(*args, **kwargs))

    # -------------------------------------------------------------------------------------------------- inside the task

    @property
    def request(self) -> Request:
        """The attempt that runs right now; outside a worker one that only says `called_directly`."""
        current = running.get()
        if current is not None and current.request.task == self.name:
            return current.request
        return Request(id="", task=self.name, args=[], kwargs={}, embed={}, headers={}, called_directly=True)

    @property
    def max_retries(self) -> int | None:
        """How often `self.retry()` may be called; None: for ever."""
        return self.options.retry.limit

    def retry(
        self,
        *,
        exc: BaseException | type[BaseException] | None = None,
        countdown: float | None = None,
        eta: datetime | str | None = None,
        max_retries: int | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        throw: bool = True,
    ) -> Retry:
        """Run the task again after `countdown` seconds, at `eta`, or after its own backoff.

        Raises Retry, which the worker understands (`raise self.retry()` reads well); with `throw=False` returns it.
        When the retries are used up, or outside a worker, raises `exc`, or MaxRetriesExceededError without one.
        `args` and `kwargs` replace those of this attempt.
        """
        request = self.request
        given = exc() if isinstance(exc, type) else exc
        if request.called_directly:
            raise given or sys.exc_info()[1] or Retry()
        delay = self._delay(countdown, eta)
        retry = Retry(delay, given or sys.exc_info()[1], max_retries, self._changed(request, args, kwargs))
        if not self.options.retry.allows(retry, request.retries):
            raise given or MaxRetriesExceededError(f"{self.name}[{request.id}] was retried {request.retries} times")
        if throw:
            raise retry from retry.cause
        return retry

    def progress(self, fraction: float | None = None, message: str | None = None, **details: Any) -> None:
        """Tell how far the task is: `fraction` from 0 to 1, a text, and anything else that JSON can hold.

        Costs microseconds; only the last report in a short while is written. Outside a worker it does nothing.
        Raises ValueError for a fraction outside 0 to 1, EncodingError for details that cannot travel.
        """
        if fraction is not None and not (isfinite(fraction) and 0 <= fraction <= 1):
            raise ValueError(f"fraction={fraction!r}: must be from 0 to 1")
        report = dumps({"fraction": fraction, "message": message, **details}, where="progress")
        current = running.get()
        if current is not None:
            current.report(report)

    def update_state(self, state: str | None = None, meta: Mapping[str, Any] | None = None) -> None:
        """Celery's way to report progress: `meta` is kept as details; of `current` and `total` a fraction is made.

        The task's own state stays STARTED; `state` is a detail as well.
        """
        details = dict(meta or {})
        current, total = details.get("current"), details.get("total")
        numbers = isinstance(current, (int, float)) and isinstance(total, (int, float)) and total > 0
        fraction = min(max(current / total, 0.0), 1.0) if numbers else None  # type: ignore[operator]
        self.progress(details.pop("fraction", fraction), details.pop("message", None), state=state, **details)

    def _delay(self, countdown: float | None, eta: datetime | str | None) -> float | None:
        try:
            moment = checks.moment(eta)
            delay = checks.delay(countdown)
        except ValueError as error:
            raise InvalidOptions({"countdown" if eta is None else "eta": str(error)}) from None
        return delay if moment is None else max(0.0, moment - self.app.clock())

    def _changed(self, request: Request, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None) -> bytes | None:
        if args is None and kwargs is None:
            return None
        args = request.args if args is None else args
        kwargs = request.kwargs if kwargs is None else kwargs
        return encode_body(*self.arguments.check(args, kwargs), request.embed)


class FunctionTask(Task, Generic[P, R]):
    """A task made of a function."""

    def __init__(self, function: Callable[..., Any], name: str, options: TaskOptions) -> None:
        self.name = name
        self.options = options
        # On the instance, so that the task itself is an argument only of those who asked for it.
        self.run = MethodType(function, self) if options.bind else function  # type: ignore[method-assign]
        self.__wrapped__ = function
        for attribute in ("__doc__", "__module__", "__name__", "__qualname__"):
            setattr(self, attribute, getattr(function, attribute, None))

    if TYPE_CHECKING:  # the same, as precise as the function's own signature

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Any: ...

        def delay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]: ...

        async def adelay(self, *args: P.args, **kwargs: P.kwargs) -> AsyncResult[R]: ...


def class_options(kind: type[Task]) -> dict[str, Any]:
    """The options that a class and its bases state as attributes."""
    found: dict[str, Any] = {}
    for each in reversed(kind.__mro__[: kind.__mro__.index(Task)]):
        found |= {name: value for name, value in vars(each).items() if name in TASK_OPTIONS and name != "name"}
    return found


def place(function: Any) -> str:
    """Where a function, or the `run` of a class, stands: "shop/tasks.py:12", as far as Python knows."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)
