"""What is deleted because it is old or too much, in portions, within a write transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from penstock.results.sqlite.rows import json_text
from penstock.results.sqlite.running import SQL

#: seconds in which no number of endings deletes a record
_YOUNG = 3600.0
#: seconds for which the feed is kept
_FEED = 3600.0
#: pages given back at a time: 4 MiB
_PORTION = 1024


def delete(connection: sqlite3.Connection, seqs: Sequence[int]) -> int:
    """Delete the records of these numbers."""
    given = {"seqs": json_text(seqs)}
    connection.execute(SQL["delete_payloads"], given)
    connection.execute(SQL["delete_logs"], given)
    return connection.execute(SQL["delete"], given).rowcount


def prune(connection: sqlite3.Connection, older: float, keep: int, limit: int, now: float) -> int:
    """Delete endings that are too old, then those that are too many."""
    gone = delete(connection, _ended_before(connection, now - older, limit))
    surplus = min(limit - gone, _ended(connection, keep) - keep)
    if surplus > 0:
        gone += delete(connection, _ended_before(connection, now - _YOUNG, surplus))
    return gone


def sweep_feed(connection: sqlite3.Connection, limit: int, now: float) -> int:
    """Delete the tail of the feed. Its newest line stays: it tells where the feed stands."""
    before = now - _FEED
    (until,) = connection.execute(SQL["feed_until"], {"limit": limit, "before": before}).fetchone()
    return 0 if until is None else connection.execute(SQL["sweep_feed"], {"until": until, "before": before}).rowcount


def shrink(connection: sqlite3.Connection) -> None:
    """Give some pages back to the file system where a good part of the file is free: the next tasks need the others."""
    (free,), (pages,) = (connection.execute(SQL[name]).fetchone() for name in ("free_pages", "pages"))
    if free > _PORTION and free > pages // 4:
        for _ in range(_PORTION):  # one by one: Python takes a single step of a statement that has no columns
            connection.execute(SQL["give_back"])


def _ended_before(connection: sqlite3.Connection, before: float, limit: int) -> list[int]:
    """The numbers of those that ended first."""
    return [seq for (seq,) in connection.execute(SQL["too_old"], {"before": before, "limit": limit})]


def _ended(connection: sqlite3.Connection, keep: int) -> int:
    """How many have ended. Counting walks an index, so it is not done where there can be no more than `keep`."""
    (at_most,) = connection.execute(SQL["at_most"]).fetchone()
    return int(at_most if at_most <= keep else connection.execute(SQL["count_ended"]).fetchone()[0])
