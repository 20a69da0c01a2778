"""Exceptions as data and back (celery-protocol §5.1): {"exc_type", "exc_message", "exc_module"}."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, Final

from penstock.core.encoding import dumps
from penstock.core.errors import EncodingError, RemoteError, TaskError
from penstock.core.preview import preview

_MAX_ARGUMENT: Final = 64 * 1024  # bytes of one argument of an exception; what is larger travels as a preview


def failure_of(exc: BaseException) -> dict[str, Any]:
    """The exception object: qualified class name, arguments (their `repr` where they cannot travel), module."""
    if isinstance(exc, RemoteError) and exc.exc_type:
        kind, module = exc.exc_type, exc.exc_module
    else:
        kind = type(exc).__qualname__
        module = exc.wire_module if isinstance(exc, TaskError) and type(exc) in _OURS.values() else type(exc).__module__
    return {"exc_type": kind, "exc_message": [_argument(value) for value in exc.args], "exc_module": module}


def encode_failure(exc: BaseException) -> bytes:
    """`failure_of(exc)` as JSON: the `result` of a record that ended in FAILURE, RETRY or REVOKED."""
    return dumps(failure_of(exc), where="exception")


def exception_of(failure: dict[str, Any]) -> Exception:
    """The exception that `failure` describes, of its own class if that is importable: the module is loaded already.

    Nothing is imported and no attribute hook runs on behalf of the data. A class that is not an Exception (SystemExit,
    a function, …) is refused: RemoteError stands in, as it does for unknown classes and ones that cannot be rebuilt.
    """
    kind, module = str(failure.get("exc_type") or "Exception"), str(failure.get("exc_module") or "")
    message = failure.get("exc_message")
    args = message if isinstance(message, (list, tuple)) else () if message is None else (message,)
    found = _OURS.get((module, kind)) or _class(module, kind)
    rebuilt = None if found is None else _rebuild(found, args)
    return RemoteError(*args, exc_type=kind, exc_module=module) if rebuilt is None else rebuilt


def _argument(value: object) -> Any:
    try:
        encoded = dumps(value, where="exception")
    except EncodingError:
        return preview(value)
    return value if len(encoded) <= _MAX_ARGUMENT else preview(value)


def _class(module: str, qualified: str) -> type[Exception] | None:
    found: Any = sys.modules.get(module)
    for name in qualified.split("."):
        found = getattr(found, "__dict__", {}).get(name)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def _rebuild(kind: type[Exception], args: tuple[Any, ...] | list[Any]) -> Exception | None:
    """An instance made by its constructor, else around it; None if neither gives one that can be printed."""
    made = _made(kind, args)
    return _made(functools.partial(kind.__new__, kind), args) if made is None else made


def _made(make: Callable[..., Exception], args: tuple[Any, ...] | list[Any]) -> Exception | None:
    try:
        error = make(*args)
        error.args = tuple(args)
        str(error)  # its __str__ may need attributes that its constructor would have set
    except Exception:  # constructors and __str__ are the user's own, and need not accept its `args`
        return None
    return error


def _tree(kind: type[TaskError]) -> list[type[TaskError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _tree(child))]


#: what Celery calls our endings → our classes
_OURS: Final[dict[tuple[str, str], type[Exception]]] = {
    (kind.wire_module, kind.__name__): kind for kind in _tree(TaskError)
}
