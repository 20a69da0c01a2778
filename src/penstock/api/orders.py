"""From what a client sent to submissions that are validated and encoded, nothing queued yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from penstock.api import problems
from penstock.api.fits import faults
from penstock.api.problems import Problem
from penstock.client.submit import Submission
from penstock.core.errors import InvalidArguments

if TYPE_CHECKING:
    from penstock.api.site import KnownTasks
    from penstock.client.app import Penstock


class Counter(Protocol):
    """Where orders are taken: the site of a server, or the session of a command."""

    app: Penstock
    tasks: KnownTasks


@dataclass(slots=True)
class Order:
    """One task to queue, as a client wrote it. `kwargs` may hold arguments by name that a position has to take."""

    task: str
    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    by_name: bool = False


def order_of(content: Any) -> Order:
    """The order in {"task", "args", "kwargs", … options}. Raises a Problem (422) naming the field."""
    if not isinstance(content, dict):
        raise Problem(problems.INVALID_OPTIONS, 'an object is expected: {"task": "add", "args": [2, 3]}')
    options = dict(content)
    task, args, kwargs = options.pop("task", None), options.pop("args", None), options.pop("kwargs", None)
    wrong = {}
    if not isinstance(task, str) or not task:
        wrong["task"] = "missing" if task is None else "expected the task's name"
    if not isinstance(args, list | None):
        wrong["args"] = "expected array"
    if not isinstance(kwargs, dict | None):
        wrong["kwargs"] = "expected object"
    if wrong:
        detail = "; ".join(f"{name}: {fault}" for name, fault in wrong.items())
        raise Problem(problems.INVALID_OPTIONS, detail, errors=problems.faults(wrong))
    return Order(str(task), args or [], kwargs or {}, options)


async def prepared(at: Counter, order: Order) -> Submission:
    """Validate and encode. Raises UnknownTask, InvalidArguments, InvalidOptions, MessageTooLarge, Unavailable."""
    task = at.app.tasks.get(order.task)
    if task is None:
        schema = await at.tasks.schema(order.task)
        args, kwargs = _fitted(order, schema)
        return at.app.prepare(order.task, args, kwargs, order.options, check=False)
    args, kwargs = task.arguments.named(order.kwargs) if order.by_name else (order.args, order.kwargs)
    return at.app.prepare(order.task, args, kwargs, order.options)


def _fitted(order: Order, schema: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a task that only a worker knows, checked against the schema that it registered."""
    named, wrong = _named(order.args, schema.get("properties", {}), schema.get("required", ()))
    wrong |= dict.fromkeys(named.keys() & order.kwargs.keys(), "given twice: by position and by name")
    wrong |= faults(schema, {**order.kwargs, **named})
    if wrong:
        raise InvalidArguments(order.task, wrong)
    return order.args, order.kwargs


def _named(
    args: list[Any], properties: Mapping[str, Mapping[str, Any]], required: list[str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Positional arguments by name, and those that there is no place for: properties stand in the parameters' order."""
    named: dict[str, Any] = {}
    rest = list(args)
    for name, schema in properties.items():
        if not rest:
            break
        takes_all = schema.get("type") == "array" and name not in required and "default" not in schema
        named[name] = rest if takes_all else rest.pop(0)
        rest = [] if takes_all else rest
    places = len(args) - len(rest)
    return named, {f"args[{places + index}]": f"surplus: the task takes {places}" for index in range(len(rest))}
