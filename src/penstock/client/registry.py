"""The tasks of an app: decorated functions and classes, by name. Nothing here sends anything."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar, cast, overload

from penstock.client import task as tasks
from penstock.client.task import App, FunctionTask
from penstock.core import fault
from penstock.core.errors import ConfigurationError, DuplicateTask
from penstock.core.task import TaskOptions

if TYPE_CHECKING:
    from penstock.client.program import ProgramTask

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """`@app.task(max_retries=3)`."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> FunctionTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...


class BoundDecorator(Protocol):
    """`@app.task(bind=True)`: the first argument is the task itself."""

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> FunctionTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> FunctionTask[P, R]: ...


class Registry:
    """Registers tasks and finds them by name. `defaults` are options for all of them."""

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self.tasks: dict[str, tasks.Task] = {}
        self.Task: type[tasks.Task] = _base(self)
        self._defaults = dict(defaults)
        self._places: dict[str, str] = {}
        TaskOptions.of(self._defaults, "the app's default")

    @overload
    def task(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> FunctionTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> FunctionTask[P, R]: ...
    @overload
    def task(self, *, bind: Literal[True], **options: Any) -> BoundDecorator: ...
    @overload
    def task(self, *, bind: Literal[False] = False, **options: Any) -> Decorator: ...
    def task(self, function: Any = None, /, **options: Any) -> Any:  # type: ignore[misc]
        """Make a task of a function, `async` or not: `@app.task`, or with options `@app.task(max_retries=3)`.

        The task's name is the function's unless `name` is given. Raises ConfigurationError with every fault of the
        options, DuplicateTask for a name that is taken.
        """
        if function is None:
            return lambda later: self._function(later, options)
        return self._function(function, options)

    def register_task(self, task: tasks.Task | type[tasks.Task]) -> tasks.Task:
        """Register a task that is a class, or an instance of one; return the instance.

        Registering a class again, or an instance of a class that is registered, replaces the instance.
        """
        instance = task() if isinstance(task, type) else task
        kind = type(instance)
        if kind.run is tasks.Task.run:
            raise ConfigurationError(f"task {instance.name}: class {kind.__qualname__} has no method `run`")
        instance.options = self._class_options(kind)
        return self._add(instance, tasks.place(kind.run))

    def program(  # noqa: PLR0913 - each is a keyword, as the options of `task` are
        self,
        name: str,
        argv: Sequence[str],
        *,
        parameters: Mapping[str, Any] | Callable[..., Any] | None = None,
        stdin: str | None = None,
        output: str = "",
        env: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        cwd: str = "",
        memory: int = 0,
        cpu: int = 0,
        nice: int = 0,
        pool: int = 0,
        **options: Any,
    ) -> ProgramTask:
        """Make a task of a program: `app.program("thumbnail", ["convert", "-resize", "{size}", "{file}", "-"])`.

        The arguments are one JSON object on its STDIN, and fill the {places} of the command line; no shell is involved.
        Its STDOUT is the result: the JSON that it is, else text; exit code 0 is success. `parameters` states types by
        name, or is a function whose signature counts; without, the {places} are texts. `stdin` names the argument
        (text or bytes) that is STDIN as it is. With `output`, STDOUT becomes a file in that folder, and the result is
        {"path", "size"}. It sees of the environment what `env` names (and the usual), and `environment`; runs in `cwd`,
        with at most `memory` bytes, `cpu` seconds. With `pool`, so many processes last, and answer a line of JSON
        with a line each. `options` are those of a task. Raises ConfigurationError.
        """
        from penstock.client.program import ProgramTask, how  # noqa: PLC0415 - whoever has no programs does without all that

        given: dict[str, Any] = {
            "parameters": parameters,
            "stdin": stdin,
            "output": output,
            "env": env,
            "cwd": cwd,
            "pool": pool,
        }
        given |= {"environment": environment or {}, "memory": memory, "cpu": cpu, "nice": nice}
        checked = TaskOptions.of({**self._defaults, **options}, f"program {name}")
        task = ProgramTask(name, how(argv, given), checked)
        self._add(task, f"app.program({name!r}, {list(argv)!r})")
        return task

    def near(self, name: str) -> list[str]:
        """Names of tasks that `name` may be a slip of."""
        return fault.near(name, self.tasks, 3)

    def _function(self, function: Any, options: Mapping[str, Any]) -> tasks.Task:
        if not callable(function) or isinstance(function, (type, tasks.Task)):
            raise ConfigurationError(f"@app.task takes a function, and options by name; it was given {function!r}")
        name = str(options.get("name") or getattr(function, "__name__", "<lambda>"))
        if name == "<lambda>":
            raise ConfigurationError(f"{tasks.place(function)}: the task has no name; give it one with name=…")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ConfigurationError(f"task {name}: a generator cannot be a task; return a list")
        checked = TaskOptions.of({**self._defaults, **options}, f"task {name}")
        return self._add(FunctionTask(function, name, checked), tasks.place(function))

    def _class_options(self, kind: type[tasks.Task]) -> TaskOptions:
        return TaskOptions.of({**self._defaults, **tasks.class_options(kind)}, f"task {kind.name}")

    def _add(self, task: tasks.Task, place: str) -> tasks.Task:
        before = self._places.get(task.name)
        # The same place again is the same task: its module was reloaded.
        if before is not None and before != place:
            raise DuplicateTask(f"task {task.name!r} is defined twice: at {before} and at {place}; give one a name=…")
        task.app = cast(App, self)  # an app is a registry that can send
        self._places[task.name] = place
        self.tasks[task.name] = task
        return task


def _base(registry: Registry) -> type[tasks.Task]:
    """`app.Task`: its subclasses are registered when they are defined."""

    class Task(tasks.Task):
        app = cast(App, registry)

        def __init_subclass__(cls, **given: Any) -> None:
            super().__init_subclass__(**given)
            cls.options = registry._class_options(cls)  # noqa: SLF001 - one thing in two scopes
            if not vars(cls).get("abstract", False):
                registry.register_task(cls)

    return Task
