"""Filters, pages and counts, within a read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from heapq import merge
from itertools import islice, zip_longest
from typing import Any

from penstock.core import search
from penstock.core.record import Filter, Page, Tally
from penstock.core.states import RETRYABLE
from penstock.drivers import sqlfile
from penstock.results.sqlite.rows import json_text, records_of
from penstock.results.sqlite.running import SQL

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
    """Records newest first, those numbered below `before`, of a stretch unless nothing is looked at in vain."""
    bounds, reached = _bounds(connection, which, before, endless=search.by_state_only(which))
    seqs = _seqs(connection, which, limit + 1, bounds)
    records = records_of(connection.execute(SQL["get_seqs"], {"seqs": json_text(seqs[:limit])}))
    if len(seqs) > limit:
        return Page(records, str(seqs[limit - 1]))
    return Page(records, None if reached is None else str(bounds["floor"]), reached)


def tally(connection: sqlite3.Connection, which: Filter, before: int | None) -> Tally:
    """How many match of the stretch from below `before`."""
    bounds, reached = _bounds(connection, which, before)
    given = {**_parameters(which), **bounds}
    if which.states:
        number = sum(_number(connection, "tally_of_state", {**given, "state": state}) for state in set(which.states))
    else:
        number = _number(connection, "tally", given)
    return Tally(number, None if reached is None else str(bounds["floor"]), reached)


def _bounds(
    connection: sqlite3.Connection, which: Filter, before: int | None, *, endless: bool = False
) -> tuple[dict[str, int], float | None]:
    """Between which numbers to look; when the record at the lower one was created, None if that is the end."""
    bounds = {"before": _TOP if before is None else before, "floor": 0}
    if endless:
        return bounds, None
    given = {**bounds, "others": search.stretch(which) - 1}
    if which.states and not which.text:
        ends = [connection.execute(_SQL["floor_of_state"], {**given, "state": each}) for each in set(which.states)]
    else:
        ends = [connection.execute(_SQL["floor"], given)]
    bounds["floor"], reached = max((found for end in ends if (found := end.fetchone())), default=(0, None))
    return bounds, reached


def count(connection: sqlite3.Connection, which: Filter, at_most: int) -> int:
    """How many records match, up to `at_most`."""
    if which.text:
        raise ValueError("a search for text is counted by tally")
    given = _parameters(which)
    if which == Filter():
        return _number(connection, "count_all", {"limit": at_most})
    if not which.states:
        return _number(connection, "count", {**given, "limit": at_most})
    found = 0
    plain = not which.unconfirmed and which.due_after is None and which.due_by is None
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
