"""No statement on messages costs more with a million of them than with a thousand: each walks its index."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from penstock.drivers import sqlfile

SQL = sqlfile.load("penstock.brokers", "sql/sqlite.sql")
#: what a statement must use; counting walks an index and never the rows
PLANS = {
    "promote": "COVERING INDEX messages_delayed (queue=? AND due<?)",
    "next_due": "COVERING INDEX messages_delayed (queue=? AND due>?)",
    "ready": "INDEX messages_ready (queue=? AND lease=? AND due=?)",
    "claim": "INTEGER PRIMARY KEY (rowid=?)",
    "settle": "INTEGER PRIMARY KEY (rowid=?)",
    "hand_back": "INTEGER PRIMARY KEY (rowid=?)",
    "holders": "COVERING INDEX messages_claimed",
    "release": "INDEX messages_claimed (lease=?)",
    "withdraw": "INDEX messages_task (task_id=?)",
    "holder": "INDEX messages_task (task_id=?)",
    "depth": "COVERING INDEX messages_ready (queue=? AND lease=? AND due=?)",
    "oldest": "COVERING INDEX messages_ready (queue=? AND lease=? AND due=? AND step=?)",
    "purge_ready": "COVERING INDEX messages_ready (queue=? AND lease=? AND due=?)",
    "purge_delayed": "COVERING INDEX messages_delayed (queue=? AND due>?)",
}
FREE = {"schema", "publish", "add_queue", "paused", "pause"}


@pytest.mark.parametrize("name", sorted(SQL.keys() - FREE))
def test_a_statement_walks_its_index(name: str) -> None:
    plan = explained(SQL[name])
    assert PLANS[name] in plan
    assert not re.search(r"SCAN messages(?! USING COVERING INDEX messages_claimed)", plan), plan
    assert "TEMP B-TREE" not in plan


def test_a_free_statement_touches_no_message_but_its_own() -> None:
    for name in FREE - {"schema"}:
        assert "SCAN messages" not in explained(SQL[name])


def explained(statement: str) -> str:
    with closing(sqlite3.connect(":memory:")) as connection:
        for part in sqlfile.split(SQL["schema"]):
            connection.execute(part)
        named = dict.fromkeys(re.findall(r":(\w+)", statement))
        numbered = max([int(number) for number in re.findall(r"\?(\d+)", statement)] or [statement.count("?")])
        rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", named or (None,) * numbered)
        return "\n".join(row[3] for row in rows)
