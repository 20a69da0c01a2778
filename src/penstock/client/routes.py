"""Which queue a task goes to: `task_routes` and `queues` of an app. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, cast

from penstock.core.errors import ConfigurationError, InvalidOptions
from penstock.core.task import SUBMIT_OPTIONS, SubmitOptions, TaskOptions

Options = Mapping[str, Any]
Route = str | Options  #: a queue, or options of a submission, "queue" among them
Router = Callable[[str, Sequence[Any], Mapping[str, Any], Options], Route | None]
Routing = Mapping[str, Route] | Router | Sequence[Mapping[str, Route] | Router]
Queues = Sequence[str] | Mapping[str, Options]

#: What a route or a queue may set; the rest belongs to one submission.
_SHARED: Final = SUBMIT_OPTIONS - {"task_id", "root_id", "parent_id", "retries", "reply_to", "add_to_parent"}


class Routes:
    """The routes of an app: by task name or glob, or what a function answers; and the options of named queues.

    A function gets (task name, args, kwargs, options) and answers a queue, options, or None: then the next is asked.
    Raises ConfigurationError with every fault.
    """

    def __init__(
        self, routing: Routing | None = None, queues: Queues | None = None, default_queue: str = "default"
    ) -> None:
        faults: list[str] = []
        self._default = default_queue
        self._routers = [_router(each, faults) for each in _listed(routing)]
        named = queues if isinstance(queues, Mapping) else {name: {} for name in queues or ()}
        self._queues = {
            name: _options(f"queues[{name!r}]", {**options, "queue": name}, faults) for name, options in named.items()
        }
        if faults:
            raise ConfigurationError(*faults)

    def __bool__(self) -> bool:
        return bool(self._routers or self._queues)

    def options(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], given: Options, own: TaskOptions
    ) -> Options:
        """`given` and what it leaves open: after it come the task's own options, then the route's, then the queue's."""
        route = self._route(task, args, kwargs, given)
        named = (given.get("queue"), own.queue, route.get("queue"))
        queue = next((each for each in named if each is not None), self._default)
        spoken = {name for name in _SHARED if getattr(own, name, None) is not None}
        rest = {name: value for name, value in {**self._queues.get(queue, {}), **route}.items() if name not in spoken}
        return {**rest, **given, "queue": queue}

    def _route(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], given: Options) -> Options:
        for router in self._routers:
            found = router(task, args, kwargs, given)
            if found is not None:
                return {"queue": found} if isinstance(found, str) else found
        return {}

    @property
    def queues(self) -> list[str]:
        """The queues that are named here, those of functions excepted."""
        routed = [queue for router in self._routers if isinstance(router, _Table) for queue in router.queues]
        return list(dict.fromkeys([*self._queues, *routed]))


class _Table:
    """Routes by task name; names without wildcards come first."""

    def __init__(self, routes: Mapping[str, Route], faults: list[str]) -> None:
        self._exact: dict[str, Options | None] = {}
        self._globs: dict[str, Options] = {}
        for pattern, route in routes.items():
            given = {"queue": route} if isinstance(route, str) else route
            options = _options(f"task_routes[{pattern!r}]", given, faults)
            (self._globs if any(sign in pattern for sign in "*?[") else self._exact)[pattern] = options
        self.queues = [
            each["queue"] for each in (*self._exact.values(), *self._globs.values()) if each and "queue" in each
        ]

    def __call__(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Options) -> Options | None:
        del args, kwargs, options  # a table looks at the name only
        if task not in self._exact:
            fitting = (found for pattern, found in self._globs.items() if fnmatchcase(task, pattern))
            self._exact[task] = next(fitting, None)
        return self._exact[task]


def _listed(routing: Routing | None) -> Sequence[Mapping[str, Route] | Router]:
    if routing is None:
        return ()
    return routing if isinstance(routing, Sequence) else (routing,)


def _router(given: Any, faults: list[str]) -> Router:
    if isinstance(given, Mapping):
        return _Table(given, faults)
    if callable(given):
        return cast(Router, given)
    faults.append(f"task_routes: expected a dict or a function, got {type(given).__name__}")
    return _Table({}, faults)


def _options(what: str, given: Any, faults: list[str]) -> Options:
    if not isinstance(given, Mapping):
        faults.append(f"{what}: expected the name of a queue or a dict of options")
        return {}
    faults += [f"{what}: {name}: belongs to one submission" for name in given if name in SUBMIT_OPTIONS - _SHARED]
    try:
        SubmitOptions.of(given, 0.0)
    except InvalidOptions as error:
        faults += [f"{what}: {name}: {fault}" for name, fault in error.faults.items()]
    return given
