"""Schedules as an app declares them: `@app.periodic("*/5 * * * *")` and `@app.periodic(every=5)`.

Everything that can be wrong with one is found when it is declared. Firing them is the scheduler's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from itertools import count
from typing import Any, Final, ParamSpec, Protocol, TypeVar, overload

from penstock.client.registry import Registry
from penstock.client.task import FunctionTask, Task
from penstock.core import options as checks
from penstock.core.arguments import Arguments
from penstock.core.encoding import dumps, loads
from penstock.core.errors import ConfigurationError, EncodingError, InvalidArguments, InvalidOptions
from penstock.core.schedule import Missed, Schedule
from penstock.core.task import SubmitOptions

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Task | type[Task])

#: What belongs to one submission. A schedule's due time gives the id and the moment.
_NOT_HERE: Final = frozenset({"task_id", "eta", "countdown", "retries", "root_id", "parent_id", "add_to_parent"})


class PeriodicDecorator(Protocol):
    """`@app.periodic(every=5)`: over `@app.task` it returns the task, over a plain function it makes one of it."""

    @overload  # a task is a callable too; it comes first
    def __call__(self, task: T, /) -> T: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> FunctionTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...


class Timetable(Registry):
    """A registry whose tasks may have schedules."""

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        super().__init__(defaults)
        self.schedules: dict[str, Schedule] = {}  #: those that the code declares, by name
        self._owners: dict[str, Task] = {}  # by the schedule's name

    def periodic(
        self,
        cron: str = "",
        /,
        *,
        every: float | timedelta | None = None,
        name: str | None = None,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        timezone: str = "UTC",
        missed: Missed = "once",
        **options: Any,
    ) -> PeriodicDecorator:
        """Have a task submitted by a cron expression (five fields, or six with seconds first), or `every` so often.

        `every` is seconds or a timedelta. `name` is how the schedule is paused and run by hand: the task's unless
        given, a second one's ends in -2. `timezone` is an IANA name; `missed` says what becomes of due times at which
        no scheduler ran: "once" (one run, late), "skip" (none over a minute late) or "all" (each one). `options` are
        those of a submission: queue, priority, expires (seconds from the submission) and more.

        Stands above `@app.task`, another `@app.periodic` or a plain function. Raises ConfigurationError with every
        fault, arguments that do not fit the task's signature among them.
        """
        if callable(cron):
            raise ConfigurationError('@app.periodic needs to know when: @app.periodic("*/5 * * * *") or (every=5)')
        given = {"cron": cron, "every": every, "name": name, "timezone": timezone, "missed": missed}

        def declare(target: Any) -> Any:
            task = self._target(target)
            self._declare(task, given, args, {} if kwargs is None else kwargs, options)
            return target if isinstance(target, (Task, type)) else task

        return declare

    def _target(self, target: Any) -> Task:
        """The registered task that a schedule is declared for."""
        if isinstance(target, type) and issubclass(target, Task):
            found = self.tasks.get(target.name)
            return found if type(found) is target else self.register_task(target)
        if not isinstance(target, Task):
            made: Task = self.task(target)
            return made
        if self.tasks.get(target.name) is not target:
            raise ConfigurationError(f"task {target.name} is not one of this app; use the app that has it")
        return target

    def _declare(
        self, task: Task, given: Mapping[str, Any], args: Any, kwargs: Any, options: Mapping[str, Any]
    ) -> None:
        for name in [name for name, owner in self._owners.items() if owner.name == task.name and owner is not task]:
            del self.schedules[name], self._owners[name]  # the task's module was reloaded
        name = given["name"] or self._free_name(task.name)
        faults: list[str] = []
        if name in self.schedules:
            faults.append("there is another one of this name; give one of them a name=…")
        args, kwargs = _fitted(task, args, kwargs, faults)
        try:
            schedule = Schedule(
                name=_text("name", name, faults, "name"),
                task=task.name,
                args=tuple(args),
                kwargs=kwargs,
                cron=_text("cron", given["cron"], faults, "* * * * *"),
                every=_seconds(given["every"], faults),
                timezone=_text("timezone", given["timezone"], faults, "UTC"),
                missed=given["missed"],
                options=_own(task) | _submission(options, faults),
            )
        except ConfigurationError as error:
            faults += [fault.removeprefix(f"schedule {name!r}: ") for fault in error.faults]
        if faults:
            raise ConfigurationError(*(f"schedule {name!r}: {fault}" for fault in faults))
        self.schedules[name] = schedule
        self._owners[name] = task

    def _free_name(self, task: str) -> str:
        names = (task if number == 1 else f"{task}-{number}" for number in count(1))
        return next(name for name in names if name not in self.schedules)


def _fitted(task: Task, args: Any, kwargs: Any, faults: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments as they come back from wherever schedules are kept, held to the task's signature."""
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, Mapping):
        faults.append("args: expected a list or tuple, and for kwargs a dict")
        return [], {}
    try:
        if task.options.typing:
            # Not `task.arguments`, which is made once: names in the hints may be defined further down in the module.
            args, kwargs = Arguments(task.run, task=task.name).check(args, kwargs)
        return loads(dumps(list(args), where="args")), loads(dumps(dict(kwargs), where="kwargs"))
    except InvalidArguments as error:
        faults += [f"argument {field}: {fault}" for field, fault in error.faults.items()]
    except EncodingError as error:
        faults.append(str(error))
    return [], {}


def _own(task: Task) -> dict[str, Any]:
    """What the task says of its submissions: a schedule is also run by hand, where the task's code is not at hand."""
    said = {name: getattr(task.options, name) for name in ("queue", "priority", "expires")}
    return {name: value for name, value in said.items() if value is not None}


def _submission(options: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """The submission options, checked."""
    faults += [f"{name}: belongs to one submission" for name in options if name in _NOT_HERE]
    rest = {name: value for name, value in options.items() if name not in _NOT_HERE}
    try:
        SubmitOptions.of(rest, 0.0)
    except InvalidOptions as error:
        faults += [f"{name}: {fault}" for name, fault in error.faults.items()]
        return {}
    kept: dict[str, Any] = loads(dumps(rest, where="options"))
    return kept


def _seconds(every: Any, faults: list[str]) -> float:
    """`every` in seconds; 0.0 where it is not given."""
    if every is None:
        return 0.0
    given = every.total_seconds() if isinstance(every, timedelta) else every
    try:
        seconds = checks.delay(given)
    except ValueError:
        seconds = None
    if not seconds:
        faults.append(f"every={every!r}: expected seconds or a timedelta, more than nothing")
    return seconds or 1.0  # in place of a faulty one, so that nobody is told that it is missing


def _text(what: str, value: Any, faults: list[str], instead: str) -> str:
    """The value if it is text, "" allowed; else a sound one, so that only this fault is told."""
    try:
        found: str = value if value == "" else checks.text(value)
    except ValueError as error:
        faults.append(f"{what}={value!r}: {error}")
        return instead
    return found
