"""No statement on records costs more with a million of them than with a thousand: none walks a table or a state."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from penstock.drivers import sqlfile
from penstock.results.sqlite import leases, listing, logs, running

#: statements that walk by their nature, each with its bound
WALKS = {
    "newest_change": "one row from the end",
    "feed_until": "as many rows as the sweep may delete, from the start",
    "count_ended": "an index of endings, only where there are more records than are to be kept",
}


@pytest.mark.parametrize("name", sorted(running.SQL.keys() - {"schema"} - WALKS.keys()))
def test_a_statement_finds_its_rows_by_key(name: str) -> None:
    plan = explained(running.SQL[name])
    assert not re.search(r"SCAN (records|payloads|changes)|records_state", plan), plan


@pytest.mark.parametrize("name", sorted(logs.SQL.keys() - {"schema"}))
def test_log_lines_are_found_by_key(name: str) -> None:
    assert not re.search(r"SCAN (records|logs)|records_state", explained(logs.SQL[name]))


@pytest.mark.parametrize(
    ("name", "walk"),
    [
        ("page", "SEARCH records USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        ("page_of_state", "SEARCH records USING INDEX records_state (state=? AND rowid>? AND rowid<?)"),
        ("count_of_state", "SEARCH records USING INDEX records_state (state=?)"),
        ("count_of_undone", "SEARCH records USING COVERING INDEX records_undone (state=?)"),
        ("count_all", "SCAN records USING COVERING INDEX"),
    ],
)
def test_a_listing_walks_in_its_order(name: str, walk: str) -> None:
    plan = explained(listing._SQL[name])
    assert walk in plan
    assert "TEMP B-TREE" not in plan


def explained(statement: str) -> str:
    with closing(sqlite3.connect(":memory:")) as connection:
        for schema in (running.SQL["schema"], logs.SQL["schema"], leases.SQL["schema"]):
            for part in sqlfile.split(schema):
                connection.execute(part)
        named = dict.fromkeys(re.findall(r":(\w+)", statement))
        numbered = max([int(number) for number in re.findall(r"\?(\d+)", statement)] or [statement.count("?")])
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", named or (None,) * numbered)
        return "\n".join(row[3] for row in rows)
