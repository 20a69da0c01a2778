"""The ceiling: plain sqlite3 leaves the same rows in the same tables, synced, and does nothing else.

The file is made by Penstock, with one task in it, whose rows are the pattern of all others. As a program
(`python -m bench.apps.bare_sqlite add 1`) this module is a worker of so many processes: each settles a batch and claims
the next one in one transaction, until nothing is left.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from bench.apps import penstock_sqlite, work

#: how a task is run, and how many are claimed together: the longer they take, the fewer
TASKS: dict[str, tuple[Callable[..., Any], int]] = {"add": (work.add, 100), "spin": (work.spin, 10)}
TABLES = ("records", "payloads", "messages", "changes")

Rows = dict[str, tuple[Any, ...]]

_made: deque[Rows] = deque()
_connection: sqlite3.Connection | None = None


def send(_task: str, *_args: Any) -> None:
    """One task, one transaction."""
    _write([_made.popleft()])


def send_many(_task: str, many: Sequence[Any]) -> None:
    """Many tasks in one transaction."""
    _write([_made.popleft() for _ in many])


def ready(count: int, task: str, args: Sequence[Any]) -> None:
    """Make the file, and the rows of so many tasks, before the clock runs."""
    global _connection  # noqa: PLW0603 - one program, one connection
    if _connection is None:
        penstock_sqlite.send(task, *args)
        penstock_sqlite.app.close()
        _connection = connect()
    pattern = _pattern(_connection)
    _made.extend(_copy(pattern, number) for number in range(count))


def connect() -> sqlite3.Connection:
    """With the settings that Penstock's own connections have."""
    connection = sqlite3.connect("penstock.db", isolation_level=None, timeout=60)
    for setting in ("synchronous = FULL", "wal_autocheckpoint = 2000", "cache_size = -8192"):
        connection.execute(f"PRAGMA {setting}")
    return connection


def _pattern(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """The sample task's row in each table, by column; the rows are deleted."""
    connection.row_factory = sqlite3.Row
    pattern = {table: dict(connection.execute(f"SELECT * FROM {table}").fetchone()) for table in TABLES}  # noqa: S608
    for table in TABLES:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608
    return pattern


def _copy(pattern: dict[str, dict[str, Any]], number: int) -> Rows:
    """The same rows for another task: other numbers, another id of the same length."""
    old = pattern["records"]["task_id"]
    new = old[:-8] + f"{number:08x}"

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(old, new)
        return value.replace(old.encode(), new.encode()) if isinstance(value, bytes) else value

    return {
        table: tuple(row[column] + number if column in {"seq", "id"} else renamed(row[column]) for column in row)
        for table, row in pattern.items()
    }


def _write(tasks: Sequence[Rows]) -> None:
    assert _connection is not None
    _connection.execute("BEGIN IMMEDIATE")
    for table in TABLES:
        places = ",".join("?" * len(tasks[0][table]))
        _connection.executemany(f"INSERT INTO {table} VALUES ({places})", [task[table] for task in tasks])  # noqa: S608
    _connection.execute("COMMIT")


# ----------------------------------------------------------------------------------------------------------- the worker


def drain(task: str) -> None:
    """Claim, run, record and settle until nothing is left."""
    run, size = TASKS[task]
    ended: list[tuple[int, str, bytes]] = []
    with closing(connect()) as connection:
        while True:
            connection.execute("BEGIN IMMEDIATE")
            _finish(connection, ended)
            claimed = _claim(connection, size)
            connection.execute("COMMIT")
            if not claimed:
                return
            ended = [(id_, task_id, b"%d" % (run(*json.loads(body)[0]) or 0)) for id_, task_id, body in claimed]


def _claim(connection: sqlite3.Connection, size: int) -> list[tuple[int, str, bytes]]:
    """The numbers, ids and bodies of messages."""
    batch = connection.execute(
        "SELECT id, task_id, head, body FROM messages WHERE queue = 'default' AND lease IS NULL AND due IS NULL "
        "ORDER BY step DESC, id LIMIT ?",
        (size,),
    ).fetchall()
    connection.executemany("UPDATE messages SET lease = 'bare' WHERE id = ?", [(row[0],) for row in batch])
    return [(id_, task_id, body) for id_, task_id, _head, body in batch]


def _finish(connection: sqlite3.Connection, ended: Sequence[tuple[int, str, bytes]]) -> None:
    """The numbers, ids and results of messages that were run."""
    now, pid = time.time(), os.getpid()
    connection.executemany(
        "UPDATE records SET state = 'SUCCESS', started_at = ?, finished_at = ?, worker = 'bare', pid = ?, result = ?, "
        "deliveries = 1 WHERE task_id = ?",
        [(now, now, pid, result, task_id) for _, task_id, result in ended],
    )
    connection.executemany(
        "INSERT INTO changes (at, task_id, task, queue, state, worker) "
        "VALUES (?, ?, 'add', 'default', 'SUCCESS', 'bare')",
        [(now, task_id) for _, task_id, _ in ended],
    )
    connection.executemany("DELETE FROM messages WHERE id = ?", [(id_,) for id_, _, _ in ended])


if __name__ == "__main__":
    task_name, processes = sys.argv[1:]
    others = [multiprocessing.Process(target=drain, args=(task_name,)) for _ in range(int(processes) - 1)]
    for other in others:
        other.start()
    drain(task_name)
    for other in others:
        other.join()
