"""Plain values: what a Python value becomes when it travels as JSON.

A plain value is made of None, bool, int, float, str, list and dict with str keys, and of the leaves that kombu has a
typed form for: datetime, date, time, Decimal, UUID, bytes (celery-protocol §1.3). Here are the table of those forms and
the one walk that brings any value into shape or says where it cannot be. Pure functions; they touch nothing else.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from penstock.core.errors import EncodingError

#: How many containers may stand inside one another, in what we write and in what we read.
MAX_DEPTH = 64

TYPE = "__type__"
VALUE = "__value__"


def typed(value: Any) -> dict[str, Any]:
    """The object that stands for `value` (an instance of one of LEAVES) in kombu's JSON."""
    if isinstance(value, bytes):
        return _typed_bytes(value)
    form = _FORMS.get(type(value)) or next(form for kind, form in _FORMS.items() if isinstance(value, kind))
    return {TYPE: form[0], VALUE: form[1](value)}


def revived(kind: str, value: Any) -> Any:
    """The value of a typed form. Raises KeyError for an unknown kind, or what the class says of a malformed value."""
    return _READERS[kind](value)


def plain(value: Any, where: str) -> Any:
    """`value` as the reader of its JSON will see it, with typed leaves as they are; itself if nothing has to change.

    What only a type hint can bring back is written as text: a timedelta as an ISO 8601 duration, a path, and keys
    of leaf types. Raises EncodingError with a path below `where`.
    """
    return value if exact(value) else Walk(where, hinted=True).run(value)


def exact(value: Any) -> bool:
    """True if JSON can say `value` as it is: exact JSON types only, finite, not too deep.

    Strings are not looked into: the compiled encoder refuses a lone surrogate by itself, and writes an int of any size.
    """
    return _exact((value,), MAX_DEPTH)


def _exact(items: Iterable[Any], depth: int) -> bool:
    for item in items:
        kind = type(item)
        if kind in _CARRIED:
            continue
        if kind is dict:
            if not depth or not _exact_keys(item) or not _exact(item.values(), depth - 1):
                return False
        elif kind is list or kind is tuple:
            if not depth or not _exact(item, depth - 1):
                return False
        elif kind is not float or item - item != 0.0:  # NaN and the infinities are the floats that do not cancel
            return False
    return True


def _exact_keys(keys: Iterable[Any]) -> bool:
    for key in keys:  # noqa: SIM110 - `all` with a generator takes twice the time, and every message comes through here
        if type(key) is not str:
            return False
    return True


def at(path: str, key: str | int) -> str:
    """The path of the item `key` below `path`: `order.items[2]`; what is not a name stands in brackets, shortened."""
    if isinstance(key, str) and key.isidentifier() and len(key) <= 60:
        return f"{path}.{key}" if path else key
    return f"{path}[{key if isinstance(key, int) else _short(key)}]"


def _short(key: str) -> str:
    return repr(key if len(key) <= 60 else f"{key[:57]}…")


class Walk:
    """One pass over a value that copies it into JSON types, with typed forms; or, `hinted`, into a plain value."""

    def __init__(self, where: str, *, hinted: bool = False) -> None:
        self._where = where
        self._hinted = hinted
        self._leaves: frozenset[type] = LEAVES if hinted else frozenset()
        self._path: list[str | int] = []
        self._open: set[int] = set()

    def run(self, value: Any) -> Any:
        try:
            return self._visit(value)
        except _NotJson as fault:
            raise EncodingError(str(fault), functools.reduce(at, self._path, self._where)) from None
        except RecursionError:  # an object whose own `__json__` or `model_dump` never comes to an end
            raise EncodingError("nested without an end", self._where) from None

    def _visit(self, value: Any) -> Any:
        kind: type = type(value)
        if kind in self._leaves or kind in _EXACT:
            return value
        if isinstance(value, _SCALARS) and not isinstance(value, Enum):
            return _scalar(value)
        if id(value) in self._open:
            raise _NotJson("it contains itself")
        self._open.add(id(value))
        if isinstance(value, _CONTAINERS):
            copy = self._container(value)
        else:
            copy = self._visit(_reducer(kind, self._hinted)(value))
        self._open.discard(id(value))
        return copy

    def _container(self, value: Any) -> Any:
        if len(self._path) >= MAX_DEPTH:
            del self._path[4:]  # the whole path would say less than its beginning
            raise _NotJson(f"nested deeper than {MAX_DEPTH} levels")
        return self._object(value) if isinstance(value, dict) else self._array(value)

    def _array(self, items: Iterable[Any]) -> list[Any]:
        return [self._item(index, item) for index, item in enumerate(items)]

    def _object(self, items: Mapping[Any, Any]) -> dict[str, Any]:
        copy: dict[str, Any] = {}
        for key, item in items.items():
            name = key if type(key) is str else self._key(key)
            if name in copy:
                raise _NotJson(f"two keys would both be written as {_short(name)}")
            copy[_text(name)] = self._item(name, item)
        return copy

    def _item(self, key: str | int, item: Any) -> Any:
        self._path.append(key)
        copy = self._visit(item)
        self._path.pop()  # not on the way of an error: it is reported where the path then stands
        return copy

    def _key(self, key: Any) -> str:
        """The name that the standard json module gives a key that is no str."""
        if isinstance(key, Enum):
            key = key.value
        if key is None or isinstance(key, bool):
            return {None: "null", True: "true", False: "false"}[key]
        if isinstance(key, str | int | float):
            return str(_scalar(key))
        for kind, write in _TEXTS.items():
            if self._hinted and isinstance(key, kind):
                return write(key)
        raise _NotJson(f"a key of type {type(key).__qualname__} is not JSON")


class _NotJson(Exception):
    """Why the value where the walk stands cannot be written."""


def _scalar(value: str | float) -> str | int | float:
    """A str, int or float of whatever subclass as the exact one; says why it cannot be written."""
    if isinstance(value, str):
        return _text(str.__str__(value))
    if isinstance(value, int):
        return int(value)
    if not math.isfinite(value):
        name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        raise _NotJson(f"{name} is not JSON")
    return float(value)


def _text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _NotJson("a lone surrogate is not JSON") from None
    return text


@functools.lru_cache(maxsize=4096)
def _reducer(kind: type, hinted: bool) -> Callable[[Any], Any]:
    """One step from an object of this class towards JSON: its value, its typed form, its text, its fields."""
    if issubclass(kind, Enum):
        return operator.attrgetter("value")
    if issubclass(kind, tuple(LEAVES)):
        return _leaf if hinted else typed
    for base, write in _TEXTS.items():
        if hinted and issubclass(kind, base):
            return write
    return _opener(kind)


def _opener(kind: type) -> Callable[[Any], Any]:
    """How an object of this class is taken apart."""
    if issubclass(kind, msgspec.Struct):
        return _struct
    for method in ("__json__", "unicode_string"):  # kombu's own hook; pydantic's URLs
        if hasattr(kind, method):
            return operator.methodcaller(method)
    if hasattr(kind, "model_dump"):  # a pydantic model
        return operator.methodcaller("model_dump", mode="python")
    if dataclasses.is_dataclass(kind):
        return functools.partial(_record, tuple(field.name for field in dataclasses.fields(kind)))
    return _refuse


def _leaf(value: Any) -> Any:
    """A leaf of a class of its own as the leaf that everybody knows."""
    form = typed(value)
    return revived(form[TYPE], form[VALUE])


def _record(names: tuple[str, ...], value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _struct(value: msgspec.Struct) -> Any:
    """The fields of a Struct as msgspec itself would write them: renamed, tagged, unset ones left out."""
    config = value.__struct_config__
    given = [getattr(value, name) for name in value.__struct_fields__]
    if config.array_like:
        return [config.tag, *given] if config.tag_field else given
    tag = {config.tag_field: config.tag} if config.tag_field else {}
    named = zip(value.__struct_encode_fields__, given, strict=True)
    return {**tag, **{name: item for name, item in named if item is not msgspec.UNSET}}


def _refuse(value: Any) -> NoReturn:
    if isinstance(value, set | frozenset):
        raise _NotJson("a set is not JSON; give a list")
    name = f"the class {value.__qualname__}" if isinstance(value, type) else type(value).__qualname__
    raise _NotJson(f"{name} cannot travel as JSON")


def _typed_bytes(value: bytes) -> dict[str, Any]:
    try:
        return {TYPE: "bytes", VALUE: value.decode()}
    except UnicodeDecodeError:
        return {TYPE: "base64", VALUE: base64.b64encode(value).decode()}


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a str is expected")
    return value


def _read_uuid(value: Any) -> UUID:
    if not isinstance(value, dict) or value.keys() != {"hex"}:
        raise TypeError('{"hex": …} is expected')
    return UUID(hex=_read_text(value["hex"]))


#: class → (kombu's name, how the value is written, how it is read). A datetime is a date too, so it comes first.
_FORMS: dict[type, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    datetime: ("datetime", datetime.isoformat, lambda value: datetime.fromisoformat(_read_text(value))),
    date: ("date", date.isoformat, lambda value: datetime.fromisoformat(_read_text(value)).date()),
    time: ("time", time.isoformat, lambda value: time.fromisoformat(_read_text(value))),
    Decimal: ("decimal", str, lambda value: Decimal(_read_text(value))),
    UUID: ("uuid", lambda value: {"hex": value.hex}, _read_uuid),
}
_READERS: dict[str, Callable[[Any], Any]] = {name: read for name, _, read in _FORMS.values()} | {
    "bytes": lambda value: _read_text(value).encode(),
    "base64": lambda value: base64.b64decode(_read_text(value), validate=True),
}

LEAVES: frozenset[type] = frozenset({*_FORMS, bytes})

_SCALARS = (str, float, int)
_CONTAINERS = (dict, list, tuple)
_EXACT: frozenset[type] = frozenset({int, bool, type(None)})
#: What the compiled encoder may be given unseen. It looks for lone surrogates itself.
_CARRIED: frozenset[type] = _EXACT | {str}

#: Classes that have no typed form, and leaf classes as keys: their text, as msgspec reads it for such a hint.
_TEXTS: dict[type, Callable[[Any], str]] = {
    timedelta: msgspec.to_builtins,
    PurePath: str,
    datetime: datetime.isoformat,
    date: date.isoformat,
    time: time.isoformat,
    Decimal: str,
    UUID: str,
}
