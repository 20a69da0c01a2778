"""Searching in records: how far at once, what is searched for a text, and in which forms it stands in JSON. Pure.

ASCII letters match in either case, all others exactly; that is what every store can do without a collation of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from penstock.core.errors import BadMessage
from penstock.core.message import Message
from penstock.core.protocol import raw_arguments
from penstock.core.record import Filter, Record

#: records that one read looks through for a text, newest first, on every back end: what a search costs at once does not
#: grow with the store, and the same search leads to the same pages
AT_ONCE = 5_000
#: records of the wanted states that one read looks through for everything else
FAR = 10_000


def stretch(which: Filter) -> int:
    """How many records one read looks through."""
    return AT_ONCE if which.text else FAR


def by_state_only(which: Filter) -> bool:
    """Whether nothing but states is asked for: then no record is looked at in vain."""
    return which == Filter(states=which.states)


def forms(text: str) -> list[bytes]:
    """The forms to look for, ASCII in lower case: as it is, and as JSON writes it, plainly and in escapes.

    Neither ids nor JSON hold a NUL, so a text with one is only looked for as JSON writes it.
    """
    plain = text.encode("utf-8", "replace").decode()
    written = (plain, json.dumps(plain, ensure_ascii=False)[1:-1], json.dumps(plain)[1:-1])
    return [form.encode().lower() for form in dict.fromkeys(written) if "\0" not in form]


def arguments_text(message: Message) -> bytes:
    """The part of a message that is searched: `args,kwargs` as they travel; nothing where it cannot be read."""
    try:
        return b"%b,%b" % raw_arguments(message)
    except BadMessage:
        return b""


def found(wanted: Sequence[bytes], record: Record) -> bool:
    """Whether one of the forms is part of the record's id, arguments or result."""
    places = (record.task_id.encode("utf-8", "replace"), record.result or b"", arguments_text(record.message))
    return any(form in place.lower() for place in places for form in wanted)
