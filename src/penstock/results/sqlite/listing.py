"""Filters, pages and counts, within a read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from heapq import merge
from itertools import islice, zip_longest
from typing import Any

from penstock.core import search
from penstock.core.record import Filter, Page
from penstock.core.states import RETRYABLE
from penstock.drivers import sqlfile
from penstock.results.sqlite.rows import json_text, records_of
from penstock.results.sqlite.running import SQL

#: records that one read looks through for a text: a reader must not keep others waiting for long
SEARCHED = 10_000
#: above every number of a row
_TOP = 2**63 - 1


def _statements() -> dict[str, str]:
    """The conditions are the same in all of them."""
    found = sqlfile.load("penstock.results.sqlite", "listing.sql")
    plain = found.pop("plain")
    conditions = f"{plain} {found.pop('conditions')}"
    return {name: text.replace("{plain}", plain).replace("{conditions}", conditions) for name, text in found.items()}


_SQL = _statements()


def page(connection: sqlite3.Connection, which: Filter, limit: int, before: int | None) -> Page:
    """Records newest first, those numbered below `before`; for a text only SEARCHED records are looked at."""
    bounds = {"before": _TOP if before is None else before, "searched": SEARCHED}
    floor = next(iter(_column(connection, "floor", bounds)), None) if which.text else None
    bounds["floor"] = -1 if floor is None else floor
    seqs = _seqs(connection, which, limit + 1, bounds)
    rows = connection.execute(SQL["get_seqs"], {"seqs": json_text(seqs[:limit])})
    if len(seqs) > limit:
        return Page(records_of(rows), str(seqs[limit - 1]))
    return Page(records_of(rows), None if floor is None else str(floor + 1))


def count(connection: sqlite3.Connection, which: Filter, at_most: int) -> int:
    """How many records match, up to `at_most`."""
    given = _parameters(which)
    if which == Filter():
        return _number(connection, "count_all", {"limit": at_most})
    if not which.states:
        return _number(connection, "count", {**given, "limit": at_most})
    found = 0
    plain = not (which.text or which.unconfirmed) and which.due_after is None and which.due_by is None
    for state in set(which.states):
        name = "count_of_undone" if plain and state in RETRYABLE else "count_of_state"
        found += _number(connection, name, {**given, "state": state, "limit": at_most - found})
    return found


def oldest(connection: sqlite3.Connection, which: Filter) -> float | None:
    """When the first record that matches was created."""
    given = _parameters(which)
    if which.states:
        firsts = [
            connection.execute(_SQL["oldest_of_state"], {**given, "state": state}).fetchone() for state in which.states
        ]
    else:
        firsts = [connection.execute(_SQL["oldest"], given).fetchone()]
    return min((first for first in firsts if first), default=(0, None))[1]


def _seqs(connection: sqlite3.Connection, which: Filter, limit: int, bounds: dict[str, int]) -> list[int]:
    """The numbers of the newest records that match. Each state is walked along its index, the walks are merged."""
    given = {**_parameters(which), "limit": limit, **bounds}
    if not which.states:
        return _column(connection, "page", given)
    walks = [_column(connection, "page_of_state", {**given, "state": state}) for state in set(which.states)]
    return list(islice(merge(*walks, reverse=True), limit))


def _parameters(which: Filter) -> dict[str, Any]:
    forms = [form.decode() for form in search.forms(which.text)] if which.text else []
    return {
        "tasks": _given(which.tasks),
        "queues": _given(which.queues),
        "workers": _given(which.workers),
        "since": which.since,
        "until": which.until,
        "due_after": which.due_after,
        "due_by": which.due_by,
        "unconfirmed": which.unconfirmed or None,
        **dict(zip_longest(("form", "form_2", "form_3"), forms)),
    }


def _given(values: Sequence[str]) -> str | None:
    return json_text(list(values)) if values else None


def _column(connection: sqlite3.Connection, name: str, given: dict[str, Any]) -> list[int]:
    return [value for (value,) in connection.execute(_SQL[name], given)]


def _number(connection: sqlite3.Connection, name: str, given: dict[str, Any]) -> int:
    return int(connection.execute(_SQL[name], given).fetchone()[0])
