"""The signature of a task as a contract: checked before queueing, rebuilt in the worker, shown as JSON Schema.

The signature is the outermost callable's own, as Celery's: a decorator that wraps may add parameters, and one that
takes `*args, **kwargs` takes everything. Pure; it calls no task.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.core.errors import EncodingError, InvalidArguments
from penstock.core.faults import explain
from penstock.core.hints import Hint
from penstock.core.plain import plain
from penstock.core.schema import Property, object_schema, value_schema

_Kind = inspect.Parameter
_BY_POSITION = (_Kind.POSITIONAL_ONLY, _Kind.POSITIONAL_OR_KEYWORD)
_BY_NAME = (_Kind.POSITIONAL_OR_KEYWORD, _Kind.KEYWORD_ONLY)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a task. `default` is `inspect.Parameter.empty` if there is none."""

    name: str
    kind: Any
    hint: Hint
    default: Any

    @property
    def required(self) -> bool:
        return self.default is _Kind.empty and self.kind not in {_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD}


class Arguments:
    """The contract of one callable, compiled once at registration.

    Arguments may be given as real instances (a dataclass, an Enum member, a datetime) or in JSON's form (an object,
    a str), and are held to the hints strictly: "2" and True are no int; an int is a float. JSON has no sets: a set is
    refused, a list given for `set[int]` becomes a set in the worker. Parameters without a hint, or with one that
    cannot be resolved, take anything. A bound task's `self` is left out with `skip_first`.
    """

    def __init__(self, function: Callable[..., Any], *, task: str, skip_first: bool = False) -> None:
        self._task = task
        self._about = inspect.getdoc(_inner(function)) or ""
        signature = _signature(function)
        parameters = [_parameter(function, p) for p in signature.parameters.values()]
        if skip_first and parameters and parameters[0].kind in _BY_POSITION:
            del parameters[0]
        self._result = _resolved(function, signature.return_annotation)
        self._parameters = parameters
        self._positional = [p for p in parameters if p.kind in _BY_POSITION]
        self._named = {p.name: p.hint for p in parameters if p.kind in _BY_NAME}
        self._surplus = next((p for p in parameters if p.kind is _Kind.VAR_POSITIONAL), None)
        self._others = next((p for p in parameters if p.kind is _Kind.VAR_KEYWORD), None)
        self._as_is = all(p.hint.as_is for p in parameters)
        # The way of most calls: by position only, nothing missing or surplus, every value of an exact class.
        self._accepts = [p.hint.accept for p in self._positional]
        self._least = sum(p.required for p in self._positional)
        keywords = any(p.required for p in parameters if p.kind is _Kind.KEYWORD_ONLY)
        self._most = -1 if keywords else len(self._positional)
        # The second most: by name only.
        self._needed = {p.name for p in parameters if p.required}
        self._accepts_named = {name: hint.accept for name, hint in self._named.items()}

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments, ready for `dumps`. Raises InvalidArguments naming every fault."""
        if not kwargs and self._least <= len(args) <= self._most:
            for value, accept in zip(args, self._accepts, strict=False):
                if accept is not None and type(value) not in accept:
                    break
            else:
                return list(args), {}
        if not args and self._needed <= kwargs.keys() and self._accepts_named.keys() >= kwargs.keys():
            for name, value in kwargs.items():
                accept = self._accepts_named[name]
                if accept is not None and type(value) not in accept:
                    break
            else:
                return [], dict(kwargs)
        return self._each(_checked, args, kwargs, self._misplaced(args, kwargs))

    def rebuild(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments as the hints' types, from decoded JSON. What `check` has passed never fails.

        Raises InvalidArguments for values that no `check` has seen, a foreign producer's. Whether there are too many or
        too few of them is left to the call.
        """
        if self._as_is:
            return list(args), dict(kwargs)
        return self._each(_rebuilt, args, kwargs, {})

    def named(self, arguments: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments given by name as (args, kwargs), unchecked. Under the name of `*args` stands a list.

        Raises InvalidArguments where a position cannot be filled.
        """
        kwargs = dict(arguments)
        surplus = kwargs.pop(self._surplus.name, []) if self._surplus else []
        faults = {}
        if self._surplus and not isinstance(surplus, list | tuple):
            faults[self._surplus.name] = f"expected array, got {type(surplus).__name__}"
        movable = [p for p in self._positional if surplus or p.kind is _Kind.POSITIONAL_ONLY]
        count = max((i for i, p in enumerate(movable, 1) if surplus or p.name in kwargs), default=0)
        faults |= {p.name: "missing" for p in movable[:count] if p.required and p.name not in kwargs}
        if faults:
            raise InvalidArguments(self._task, faults)
        return [*(kwargs.pop(p.name, p.default) for p in movable[:count]), *surplus], kwargs

    def schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12 of the object that `named` takes; its references go to its own `$defs`."""
        properties = [
            Property(p.name, p.hint.form, p.required, p.default, many=p is self._surplus)
            for p in self._parameters
            if p is not self._others
        ]
        others = self._others.hint.form if self._others else None
        return object_schema(self._task, self._about, properties, others)

    def result_schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12 of the result, from the return hint; {} if there is none or it cannot be resolved."""
        return value_schema(self._returns.form)

    def result(self, value: Any) -> Any:
        """A decoded result as the return hint's type. Nothing has held it to the hint: what does not fit stays."""
        hint = self._returns
        if hint.as_is or hint.takes(value):
            return value
        try:
            return hint.convert(value)
        except Exception:  # the user's own constructors and validators run in there
            return value

    @functools.cached_property
    def _returns(self) -> Hint:
        return Hint(self._result)

    def _each(
        self, step: _Step, args: Sequence[Any], kwargs: Mapping[str, Any], faults: dict[str, str]
    ) -> tuple[list[Any], dict[str, Any]]:
        """Take one step with every argument that has a parameter. Raises InvalidArguments with the faults collected."""
        positions = [(value, *self._at(index)) for index, value in enumerate(args)]
        by_position = [step(hint, value, path, faults) if hint else value for value, path, hint in positions]
        by_name = {
            name: step(hint, value, name, faults) if (hint := self._by_name(name)) else value
            for name, value in kwargs.items()
        }
        if faults:
            raise InvalidArguments(self._task, faults)
        return by_position, by_name

    def _misplaced(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
        """What is wrong with the places of the arguments, whatever their values: field → fault."""
        faults = {}
        taken = [p.name for p in self._positional[: len(args)]]
        for p in self._parameters:
            given = p.name in taken or (p.name in kwargs and p.kind in _BY_NAME)
            if p.required and not given:
                faults[p.name] = "missing"
        for index in range(len(args)):
            path, hint = self._at(index)
            if hint is None:
                faults[path] = f"surplus: the task takes {len(self._positional)} by position"
        for name in kwargs:
            if self._by_name(name) is None:
                known = any(p.name == name for p in self._positional)
                faults[str(name)] = "can only be given by position" if known else "no such parameter"
            elif name in taken and name in self._named:
                faults[name] = "given twice: by position and by name"
        return faults

    def _at(self, index: int) -> tuple[str, Hint | None]:
        """The name of the field at a position, and its hint; None if nothing may stand there."""
        if index < len(self._positional):
            return self._positional[index].name, self._positional[index].hint
        if self._surplus:
            return f"{self._surplus.name}[{index - len(self._positional)}]", self._surplus.hint
        return f"args[{index}]", None

    def _by_name(self, name: str) -> Hint | None:
        return self._named.get(name) or (self._others.hint if self._others else None)


# --------------------------------------------------------------------------------------------------- one argument's way

_Step = Callable[[Hint, Any, str, dict[str, str]], Any]


def _checked(hint: Hint, value: Any, path: str, faults: dict[str, str]) -> Any:
    """The value as it travels. It is taken apart first and then rebuilt, as the worker will, to see that it fits."""
    if hint.takes(value):
        return value
    try:
        value = plain(value, path)
    except EncodingError as fault:
        faults[fault.path] = fault.reason
        return value
    _converted(hint, value, path, faults)
    return value


def _rebuilt(hint: Hint, value: Any, path: str, faults: dict[str, str]) -> Any:
    return value if hint.as_is or hint.takes(value) else _converted(hint, value, path, faults)


def _converted(hint: Hint, value: Any, path: str, faults: dict[str, str]) -> Any:
    try:
        return hint.convert(value)
    except Exception as error:  # the user's own constructors and validators run in there
        faults |= explain(hint.form, value, path) or {path: str(error)}
    return None


# ------------------------------------------------------------------------------------------------- reading a signature


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, follow_wrapped=False)
    except ValueError:  # some builtins do not tell
        return inspect.signature(_anything)


def _anything(*args: Any, **kwargs: Any) -> Any: ...


def _parameter(function: Callable[..., Any], parameter: inspect.Parameter) -> Parameter:
    name, kind = parameter.name, parameter.kind
    hint = _resolved(function, parameter.annotation, optional=parameter.default is None)
    if hasattr(function, "__wrapped__") and kind in {_Kind.VAR_POSITIONAL, _Kind.VAR_KEYWORD}:
        hint = Any  # functools.wraps has copied the hints of the function inside, which may use the same name
    return Parameter(name, kind, Hint(hint), parameter.default)


def _resolved(function: Callable[..., Any], annotation: Any, *, optional: bool = False) -> Any:
    """The annotation as a type; Any if there is none, or a name in it is not known at run time.

    `optional` if the default is None: `x: int = None` means `int | None`.
    """
    if annotation is inspect.Parameter.empty:
        return Any

    def holder() -> None: ...

    holder.__annotations__ = {"hint": annotation}
    try:
        hint = typing.get_type_hints(holder, _globals(function), include_extras=True)["hint"]
        return typing.Optional[hint] if optional else hint  # noqa: UP045 - the hint is known only now
    except Exception:  # an annotation is any expression of the user's
        return Any


def _globals(function: Any) -> dict[str, Any]:
    """The names that the function's annotations were written among."""
    function = _inner(function)
    if not inspect.isroutine(function):
        kind = function if isinstance(function, type) else type(function)
        function = getattr(kind, "__init__" if kind is function else "__call__")
    return getattr(inspect.unwrap(function), "__globals__", {})


def _inner(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
