"""A short text of any value, for people: never longer than its limit, never an error, cheap for huge values."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

_SMALL = (int, float, bool, type(None))
_FEW = 16  # values that are shown at once
_DEPTH = 8  # containers deeper than this are shown as "…"


def preview(value: object, limit: int = 1024) -> str:
    """Python's `repr` of `value`, cut at `limit` characters (then it ends in "...").

    A huge value costs no more than `limit` characters do, save where a class of the user's own writes its `repr`.
    """
    text = _plain(value, limit) or _text(value, limit)
    if len(text) > limit:
        text = text[: limit - 3] + "..."
    # A class may hide a lone surrogate in its repr: such text could not be stored.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _plain(value: object, limit: int) -> str:
    """The same for what most tasks are given: a few short values, of which `repr` itself is quick; "" for others."""
    if type(value) is not tuple or len(value) > _FEW:
        return ""
    for item in value:
        kind = type(item)
        if kind is str and len(item) <= limit:
            continue
        if kind not in _SMALL:
            return ""
    try:
        return repr(value)
    except ValueError:  # an integer with too many digits
        return ""


def _text(value: object, limit: int) -> str:
    parts: list[str] = []
    left = limit + 1
    for part in _parts(value, left, _DEPTH):
        parts.append(part)
        left -= len(part)
        if left <= 0:
            break
    return "".join(parts)


def _parts(value: object, limit: int, depth: int) -> Iterator[str]:
    kind = type(value)
    if kind in _SMALL:
        yield _scalar(value)
    elif kind is str or kind is bytes:
        yield repr(value[:limit])  # type: ignore[index]
    elif depth == 0:
        yield "…"
    elif kind is dict:
        yield from _mapping(value, limit, depth - 1)  # type: ignore[arg-type]
    elif kind is list or kind is tuple:
        yield from _sequence(value, limit, depth - 1)  # type: ignore[arg-type]
    else:
        yield _scalar(value)


def _sequence(value: list[Any] | tuple[Any, ...], limit: int, depth: int) -> Iterator[str]:
    is_list = isinstance(value, list)
    yield "[" if is_list else "("
    for index, item in enumerate(islice(value, limit)):
        if index:
            yield ", "
        yield from _parts(item, limit, depth)
    yield "]" if is_list else ",)" if len(value) == 1 else ")"


def _mapping(value: dict[Any, Any], limit: int, depth: int) -> Iterator[str]:
    yield "{"
    for index, (key, item) in enumerate(islice(value.items(), limit)):
        if index:
            yield ", "
        yield from _parts(key, limit, depth)
        yield ": "
        yield from _parts(item, limit, depth)
    yield "}"


def _scalar(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # a user's __repr__ may raise anything, and so may repr of an integer with too many digits
        return f"<{type(value).__name__}>"
