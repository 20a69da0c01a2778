"""Kinds of parameters: how each is described, and how its text becomes a value.

What a reader accepts is what its schema says, no more: a caller who errs is told, and the description stays true.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from penstock.api.route import Parameter
from penstock.core import options, times

LONGEST = 3_200_000_000  # seconds, as in core.options
NO_NUL = r"^[^\u0000]*$"
NAME: dict[str, Any] = {
    "type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\u0000-\u001f\u007f]+$",
}  # fmt: skip
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
#: RFC 3339 with the zone left out allowed (UTC then); a "+" that a URL turned into a space is forgiven.
MOMENT = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+ -]\d\d:\d\d)?)?")


def in_path(name: str, summary: str) -> Parameter:
    """A part of the path: a name that is only looked up."""
    return Parameter(name, "path", {"type": "string", "minLength": 1, "pattern": NO_NUL}, summary)


def name_in_path(name: str, summary: str) -> Parameter:
    """A part of the path: a name that may come to be."""
    return Parameter(name, "path", NAME, summary, options.text)


def text(name: str, summary: str, *, many: bool = False) -> Parameter:
    """Any text."""
    return Parameter(name, "query", {"type": "string", "minLength": 1, "pattern": NO_NUL}, summary, _text, many)


def name_text(name: str, summary: str) -> Parameter:
    """A name as tasks and queues may have: what `core.options.text` takes."""
    return Parameter(name, "query", NAME, summary, options.text)


def choice(name: str, summary: str, values: Sequence[str], *, many: bool = False) -> Parameter:
    """One of some words."""

    def read(given: str) -> str:
        if given not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return given

    return Parameter(name, "query", {"type": "string", "enum": list(values)}, summary, read, many)


def integer(name: str, summary: str, least: int, most: int, default: int | None = None) -> Parameter:
    """A whole number within bounds."""

    def read(given: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", given) or not least <= int(given) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(given)

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Parameter(
        name, "query", schema | ({} if default is None else {"default": default}), summary, read, default=default
    )


def seconds(name: str, summary: str, *, zero: bool) -> Parameter:
    """Seconds, not more than a hundred years; `zero`: none at all are allowed too."""

    def read(given: str) -> float:
        try:
            value = float(given)
        except ValueError:
            value = math.nan
        if not 0 <= value <= LONGEST or (value == 0 and not zero):
            raise ValueError(f"must be a number of seconds, {'0 or more' if zero else 'more than 0'}")
        return value

    least = {"minimum": 0} if zero else {"exclusiveMinimum": 0}
    return Parameter(name, "query", {"type": "number", **least, "maximum": LONGEST}, summary, read)


def flag(name: str, summary: str, default: bool | None = False) -> Parameter:
    """Yes or no; the bare name means yes. `default` None: where it is not given, something else decides."""

    def read(given: str) -> bool:
        if given not in {"", "true", "false"}:
            raise ValueError("must be true or false")
        return given != "false"

    schema: dict[str, Any] = {"anyOf": [{"type": "boolean"}, {"type": "string", "maxLength": 0}]}
    schema |= {} if default is None else {"default": default}
    return Parameter(name, "query", schema, summary, read, default=default)


def moment(name: str, summary: str) -> Parameter:
    """A time; its value is in unix seconds."""
    return Parameter(name, "query", TIME, summary, unix_seconds)


def time_text(name: str, summary: str) -> Parameter:
    """A time whose text is passed on: the submission that it is an option of reads it."""
    return Parameter(name, "query", TIME, summary, _plus)


def seconds_or_time(name: str, summary: str) -> Parameter:
    """Seconds from now, not more than a hundred years, or a time, whose text is passed on."""
    of_number = seconds(name, summary, zero=True)

    def read(given: str) -> float | str:
        try:
            float(given)
        except ValueError:
            return _plus(given)
        return float(of_number.read(given))

    return Parameter(name, "query", {"anyOf": [of_number.schema, TIME]}, summary, read)


def header(
    name: str, summary: str, schema: dict[str, Any], read: Callable[[str], Any] = str, *, lines: bool = False
) -> Parameter:
    """A header of the request; `lines`: it may stand on several."""
    return Parameter(name, "header", schema, summary, read, lines=lines)


def unix_seconds(given: str) -> float:
    """The time that an ISO 8601 text names."""
    try:
        if not MOMENT.fullmatch(given):
            raise ValueError
        return times.parse(_plus(given))
    except ValueError:
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z") from None


def _plus(given: str) -> str:
    """The text of a time whose "+" a URL turned into a space."""
    return re.sub(r" (\d\d:\d\d)$", r"+\1", given) if "T" in given else given


def _text(given: str) -> str:
    if not given or "\0" in given:
        raise ValueError("must be some text, without NUL")
    return given
