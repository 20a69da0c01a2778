"""From values to text for pages: times, numbers, JSON, and text of others that must stay text.

Everything that goes into a template is escaped there; what is done here is for the reader's eyes: control characters
and terminal colours are not HTML, but they are not readable either.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jinja2

from penstock.dashboard import statics
from penstock.dashboard.asking import at

SHORT = 120  # characters of a value in a list
LONG = 4000  # characters of a value on its own page

#: What terminals take for colours, cursor moves and titles.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
#: Other control characters, and those that turn the direction of the text around them.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text without terminal codes; other control characters as pictures or escapes."""
    return _CONTROL.sub(_shown, _TERMINAL.sub("", text.replace("\r\n", "\n")))


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 0x20 else f"\\u{code:04x}"


def clip(text: str, limit: int = SHORT) -> str:
    """The beginning of a text, cleaned, on one line."""
    start = clean(text[: limit * 4]).replace("\n", " ")
    return start if len(start) <= limit and len(text) <= limit * 4 else start[: limit - 1] + "…"


def text_of(value: Any, indent: int | None = None) -> str:
    """A value as JSON."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def call(item: Mapping[str, Any]) -> str:
    """The arguments of a task as a call would give them, shortened."""
    args, kwargs = item.get("args"), item.get("kwargs")
    if {"args", "kwargs"} & set(item.get("omitted", ())):
        return "(…)"
    parts = [text_of(value) for value in args or ()]
    parts += [f"{name}={text_of(value)}" for name, value in (kwargs or {}).items()]
    return clip(f"({', '.join(parts)})")


def failure(value: Any) -> str:
    """One line for an exception as results hold it."""
    if not isinstance(value, Mapping) or "exc_type" not in value:
        return ""
    message = value.get("exc_message")
    words = ", ".join(map(str, message)) if isinstance(message, list) else str(message or "")
    return clip(f"{value['exc_type']}: {words}" if words else str(value["exc_type"]), 200)


def moment(text: str | None) -> datetime | None:
    """A time as the API writes it."""
    return datetime.fromisoformat(text) if text else None


def seconds_since(text: str | None, now: float) -> float | None:
    found = moment(text)
    return None if found is None else now - found.timestamp()


def duration(seconds: float | None) -> str:
    """A length of time for people: 1.2 ms, 350 ms, 12.3 s, 5 min 20 s, 3 h 4 min, 2 d 3 h."""
    if seconds is None:
        return "\u2013"
    size = abs(seconds)
    if size < 0.01:
        return f"{size * 1000:.2g} ms"
    if size < 0.9995:
        return f"{size * 1000:.0f} ms"
    if size < 99.95:
        return f"{size:.1f}".removesuffix(".0") + " s"
    for unit, small, length, part in (("min", "s", 60, 1), ("h", "min", 3600, 60), ("d", "h", 86400, 3600)):
        if size < {"min": 3600, "h": 86400, "d": float("inf")}[unit]:
            rest = int(size % length) // part
            return f"{int(size // length)} {unit}" + (f" {rest} {small}" if rest else "")
    return ""


def ago(text: str | None, now: float) -> str:
    """How long ago a time was, or in how long it will be."""
    since = seconds_since(text, now)
    if since is None:
        return "\u2013"
    if abs(since) < 1:
        return "now"
    words = duration(round(since))
    return f"{words} ago" if since > 0 else f"in {words}"


def age(text: str | None, now: float) -> str:
    """How long a time is past."""
    since = seconds_since(text, now)
    return duration(None if since is None else round(since) if since >= 1 else since)


def clock(text: str | None) -> str:
    """A time in UTC, to the second."""
    found = moment(text)
    return "\u2013" if found is None else f"{found.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def count(number: float | None) -> str:
    """A number with its thousands apart."""
    return "\u2013" if number is None else f"{number:,.0f}".replace(",", "\u202f")


def percent(share: Any) -> str:
    """A share of 1, in percent."""
    return f"{100 * share:.0f} %" if isinstance(share, int | float) else "\u2013"


def size(number: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "bytes" or number >= 100 else f"{number:.1f} {unit}"
        number /= 1000
    return ""


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("penstock.dashboard"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "clean": clean, "clip": clip, "json": text_of, "call": call, "failure": failure, "duration": duration,
        "ago": ago, "age": age, "clock": clock, "count": count, "percent": percent, "size": size,
    }  # fmt: skip
    environment.globals |= {"static": statics.address, "at": at}
    return environment


def render(template: str, **context: Any) -> str:
    """A page."""
    return _environment().get_template(template).render(context)
