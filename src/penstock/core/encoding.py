"""JSON for the wire: `dumps` and `loads`, in kombu's dialect (celery-protocol §1.3).

The compiled codec does the work where every value is an exact JSON type; otherwise one walk writes or revives kombu's
typed forms. Pure functions; the walk over Python values is in `plain`.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from penstock.core.errors import DecodingError, EncodingError
from penstock.core.plain import MAX_DEPTH, TYPE, VALUE, Walk, exact, revived

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def dumps(value: Any, *, where: str = "value") -> bytes:
    """`value` as JSON, UTF-8. Tuples become arrays; dataclasses, Structs and pydantic models objects of their fields.

    Raises EncodingError for what cannot travel, with its path below `where`: `args[0].items[2]: NaN is not JSON`.
    """
    try:
        if exact(value):
            return _encode(value)
    except ValueError:
        pass  # a lone surrogate, whose place the walk finds, or an int too long
    tree = Walk(where).run(value)
    try:
        return _encode(tree)
    except ValueError as fault:  # an int of more digits than Python is willing to write (sys.set_int_max_str_digits)
        raise EncodingError(str(fault), where) from None


def loads(data: bytes | bytearray | memoryview | str, *, max_depth: int = MAX_DEPTH) -> Any:
    """The value that JSON text stands for, typed forms revived at any depth; an unknown `__type__` stays an object.

    As lenient as Celery with what foreign producers write: NaN, Infinity, lone surrogates in escapes and ints of any
    size are read. Raises DecodingError for malformed text, a malformed typed form, or nesting deeper than `max_depth`.
    """
    text = data if type(data) is bytes else _bytes(data)
    # Brackets inside strings count too here, so this only says who needs the exact look. Each level takes two of them.
    if len(text) > 2 * max_depth and text.count(b"[") + text.count(b"{") > max_depth:
        _check_depth(text, max_depth)
    try:
        value = _decode(text)
    except (ValueError, RecursionError):
        value = _decode_foreign(text)
    return _revive(value) if _may_hold_forms(text) else value


def _may_hold_forms(text: bytes) -> bool:
    r"""Whether `__type__` may stand in the text. Its letters can hide behind escapes, but only of the form \u00xx."""
    # `find`, and a byte's number for `in`: on bytes, `b"…" in text` takes twice the time.
    return text.find(b"__type__") >= 0 or (_BACKSLASH in text and text.find(b"\\u00") >= 0)


def _bytes(data: bytes | bytearray | memoryview | str) -> bytes:
    if not isinstance(data, str):
        return bytes(data)
    try:
        return data.encode()
    except UnicodeEncodeError as fault:
        raise DecodingError(f"malformed JSON: {fault}") from None


def _decode_foreign(text: bytes) -> Any:
    """What the compiled decoder refuses: NaN and the like are read, for the rest the error is worded here."""
    try:
        return json.loads(text.decode())
    except (ValueError, RecursionError) as fault:
        raise DecodingError(f"malformed JSON: {fault}") from None


# A whole string, or an unclosed one to the end of the text; possessive, so that no input makes it go back.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_OPENING = frozenset(b"[{")
_BACKSLASH = ord("\\")


def _check_depth(text: bytes, limit: int) -> None:
    """Counted on the text, before any decoder descends into it: hostile nesting never reaches a stack."""
    depth = 0
    for bracket in _STRING.sub(b"", text).translate(None, _NOT_BRACKETS):
        if bracket not in _OPENING:
            depth -= 1
            continue
        depth += 1
        if depth > limit:
            raise DecodingError(f"nested deeper than {limit} levels")


def _revive(value: Any) -> Any:
    """Replace typed forms by their values, innermost first, in the fresh containers of the decoder."""
    kind = type(value)
    if kind is list:
        value[:] = map(_revive, value)
    elif kind is dict:
        for key, item in value.items():
            if type(item) in {dict, list}:
                value[key] = _revive(item)
        if len(value) == 2 and TYPE in value and VALUE in value:
            return _typed(value)
    return value


def _typed(form: dict[str, Any]) -> Any:
    kind = form[TYPE]
    if type(kind) is not str:
        return form
    try:
        return revived(kind, form[VALUE])
    except KeyError:
        return form
    except (ArithmeticError, TypeError, ValueError) as fault:  # Decimal's own errors are arithmetic ones
        raise DecodingError(f"malformed {kind}: {fault}") from None
