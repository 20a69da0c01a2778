"""Why a value does not fit a hint: every fault, with the path to where it is.

Looked for only after a value was refused, so this may take its time. Pure functions over `hints`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec

from penstock.core.hints import CONTAINERS, UNIONS, Adapted, Choice, Field, Record, call_back, fields
from penstock.core.plain import at

#: A list of a million wrong items needs no million lines.
MOST = 100

_ABSENT: Any = object()
_PLACE = re.compile(r" - at (?P<key>`key` in )?`\$(?P<path>[^`]*)`")


def explain(form: Any, value: Any, path: str) -> dict[str, str]:
    """What is wrong with the plain `value` for a prepared hint (`Hint.form`): path → fault. Empty if it fits."""
    found: dict[str, str] = {}
    _collect(form, value, path, found)
    return found


def _collect(form: Any, value: Any, path: str, found: dict[str, str]) -> None:
    if len(found) >= MOST:
        return
    if value is _ABSENT:
        found[path] = "missing"
        return
    error = _error(form, value)
    if error is None:
        return
    before = len(found)
    narrowed = _narrowed(form, value)
    if narrowed is not form:
        _collect(narrowed, value, path, found)
    else:
        for key, part, item in _parts(form, value):
            _collect(part, item, at(path, key), found)
    if len(found) == before:  # the parts are right; it is the whole that is wrong
        found.update(_worded(error, path))


def _error(form: Any, value: Any) -> Exception | None:
    try:
        msgspec.convert(value, form, dec_hook=call_back, str_keys=True)
    except Exception as error:  # the user's own constructors and validators run in there
        return error
    return None


def _narrowed(form: Any, value: Any) -> Any:
    """The form without constraints, without `| None`; of a union the only member that an object can be meant for."""
    origin, args = get_origin(form), get_args(form)
    if origin is Annotated:
        return args[0]
    if origin in UNIONS and len(args) == 2 and type(None) in args:
        return args[0] if args[1] is type(None) else args[1]
    if isinstance(value, dict) and isinstance(form, type) and issubclass(form, Choice):
        objects = [member.form for member in form.members if _takes_objects(member.form)]
        return objects[0] if len(objects) == 1 else form
    return form


def _takes_objects(form: Any) -> bool:
    return _is_mapping(form) or bool(_fields(form)) or (isinstance(form, type) and issubclass(form, Adapted))


def _is_mapping(form: Any) -> bool:
    return isinstance(origin := get_origin(form), type) and issubclass(origin, Mapping)


def _parts(form: Any, value: Any) -> Iterator[tuple[str | int, Any, Any]]:
    """The items of a container, or the fields of an object, each with its own hint."""
    args = get_args(form)
    if isinstance(value, dict) and _is_mapping(form):
        yield from ((key, args[1], item) for key, item in value.items())
    elif isinstance(value, dict):
        for name, field in _fields(form).items():
            if field.required or name in value:
                yield name, field.hint, value.get(name, _ABSENT)
    elif isinstance(value, list | tuple) and args and get_origin(form) in CONTAINERS and not _is_mapping(form):
        hints = args if get_origin(form) is tuple and args[-1] is not ... else args[:1] * len(value)
        yield from ((index, hint, item) for index, (hint, item) in enumerate(zip(hints, value, strict=False)))


def _fields(form: Any) -> Mapping[str, Field]:
    if isinstance(form, type) and issubclass(form, Record):
        return {name: Field(name, form.hints[name].form, field.required) for name, field in form.fields.items()}
    return fields(form)


def _worded(error: Exception, path: str) -> dict[str, str]:
    """The error of msgspec, pydantic or the user's own code as faults by path."""
    cause = error.__cause__ or error
    if type(cause).__module__.startswith("pydantic_core") and hasattr(cause, "errors"):  # it knows all its faults
        return {_join(path, fault["loc"]): fault["msg"] for fault in cause.errors(include_url=False)}
    text = str(error) or type(error).__name__
    places = list(_PLACE.finditer(text))  # of a stand-in inside something: its own comes first, then the way to it
    if places:
        text = text[: places[0].start()]
    text = text[:1].lower() + text[1:].replace("`", "")
    of_a_key = any(place["key"] for place in places)
    return {path + "".join(place["path"] for place in reversed(places)): f"of a key: {text}" if of_a_key else text}


def _join(path: str, keys: tuple[str | int, ...]) -> str:
    for key in keys:
        path = at(path, key)
    return path
