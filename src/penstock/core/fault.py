"""How faults in what a person wrote are worded."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import msgspec

_WORDS: Final = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "text"}
_REGEX: Final = re.compile(r"`str` matching regex .*")


def reason(error: msgspec.ValidationError) -> str:
    """What was expected, in words: "expected a number > 0.0, got text"."""
    text = _REGEX.sub("text without control characters or lone surrogates", str(error))
    for name, word in _WORDS.items():
        text = re.sub(f"`([^`]*\\b){name}\\b([^`]*)`", rf"`\1{word}\2`", text)
    return (text[:1].lower() + text[1:]).replace("`", "").replace("null", "nothing").replace(" | ", " or ")


def near(name: str, known: Iterable[str], limit: int = 1) -> list[str]:
    """Those of `known` that `name` may be a slip of, the nearest first."""
    return get_close_matches(name, list(known), limit)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The fault of a name that there is not: `unknown setting 'leas'; did you mean lease?`."""
    found = near(name, known)
    return f"unknown {what} {name!r}" + (f"; did you mean {found[0]}?" if found else "")
