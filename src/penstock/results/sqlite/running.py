"""Runs begin, end, are given back or lost: what that does to the rows, within a write transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from penstock.core.errors import LeaseLost, TaskIdTaken
from penstock.core.lifecycle import adopted, generation_of
from penstock.core.message import Delivery
from penstock.core.record import Attempt, Ending, Record, Start
from penstock.core.states import RETRY
from penstock.drivers import sqlfile
from penstock.results.sqlite.rows import (
    SUBMITTED,
    Rows,
    attempts_of,
    attempts_text,
    json_text,
    rows_of,
    submitted,
)

SQL = sqlfile.load("penstock.results.sqlite", "records.sql")
_ALIVE = sqlfile.load("penstock.results.sqlite", "leases.sql")["owner"]


def require(connection: sqlite3.Connection, lease: str) -> None:
    """Raise LeaseLost unless `lease` is alive."""
    if connection.execute(_ALIVE, (lease,)).fetchone() is None:
        raise LeaseLost(f"the lease {lease!r} is not alive any more")


def tell(connection: sqlite3.Connection, task_ids: Sequence[str], now: float) -> None:
    """Write a line of the feed for each task, in this order: the state it is in now."""
    if task_ids:
        connection.execute(SQL["tell"], {"ids": json_text(task_ids), "now": now})


def create(connection: sqlite3.Connection, records: Sequence[Record], rows: Sequence[Rows]) -> int:
    """Write new records, made into `rows` before the transaction; return the first one's number. Raises TaskIdTaken."""
    (first,) = connection.execute(SQL["next_seq"]).fetchone()
    payloads = [(seq, *payload) for seq, (_, payload) in enumerate(rows, first)]
    if _insert(connection, [row for row, _ in rows], first) != len(rows):
        there = _there_already(connection, records, first)
        payloads = [payload for payload in payloads if payload[0] not in there]
    connection.executemany(SQL["create_payload"], payloads)
    return int(first)


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], first: int) -> int:
    """Insert those whose id is not taken, numbered from `first` on; return how many."""
    if all(map(submitted, rows)):
        numbered = [(seq, *row[:SUBMITTED]) for seq, row in enumerate(rows, first)]
        return connection.executemany(SQL["submit"], numbered).rowcount
    return connection.executemany(SQL["create"], [(seq, *row) for seq, row in enumerate(rows, first)]).rowcount


def _there_already(connection: sqlite3.Connection, records: Sequence[Record], first: int) -> set[int]:
    """The numbers of records that an earlier try of the same submission has written."""
    ids = json_text([record.task_id for record in records])
    found = {task_id: rest for task_id, *rest in connection.execute(SQL["submissions"], {"ids": ids})}
    there = set()
    for number, record in enumerate(records, first):
        seq, submitter, created_at = found[record.task_id]
        if seq == number:
            continue
        if not submitter or (submitter, created_at) != (record.submitter, record.created_at):
            raise TaskIdTaken(record.task_id)
        there.add(number)
    return there


def start(connection: sqlite3.Connection, begins: Start, lease: str) -> bool:
    """Mark a run and charge its delivery; False where it must not begin."""
    task_id, generation = _name(begins.delivery)
    given = (begins.started_at, begins.worker, begins.pid, begins.deliveries, lease, task_id, generation)
    return _met(connection, begins.delivery, begins.started_at, lambda: _changed(connection, SQL["start"], given))


def finish(connection: sqlite3.Connection, endings: Sequence[Ending]) -> list[bool]:
    """Write how runs ended; False where an ending or a later generation is there."""
    if len(endings) > 1 and _all_at_once(connection, endings):
        return [True] * len(endings)
    return [_finish(connection, ends) for ends in endings]


def _all_at_once(connection: sqlite3.Connection, endings: Sequence[Ending]) -> bool:
    """End them all in one statement; where that cannot be, or one of them is refused, none."""
    given: list[Any] = []
    for ends in endings:
        if ends.state == RETRY or ends.children:
            return False
        given += _ending(ends)
    if len(set(given[_TASK_ID::_WIDTH])) < len(endings):
        return False
    size = 1 << (len(endings) - 1).bit_length()  # few sizes, for each is a statement of its own
    given += ("",) * (_WIDTH * (size - len(endings)))
    connection.execute("SAVEPOINT finish")
    done = connection.execute(_finishing(size), given).rowcount == len(endings)
    if not done:
        connection.execute("ROLLBACK TO finish")
    connection.execute("RELEASE finish")
    return done


def _finish(connection: sqlite3.Connection, ends: Ending) -> bool:
    statement, given = (SQL["retry"], _retry(ends)) if ends.state == RETRY else (_finishing(1), _ending(ends))
    at = ends.started_at or ends.finished_at
    if not _met(connection, ends.delivery, at, lambda: _changed(connection, statement, given)):
        return False
    if ends.children:
        task_id = ends.delivery.message.task_id
        connection.executemany(SQL["add_child"], [(child, task_id) for child in ends.children])
    return True


#: how many values an ending has in the statement `finish`, their row, and where among them the task is named
_WIDTH: Final = 10
_ROW: Final = f"({', '.join('?' * _WIDTH)})"
_TASK_ID: Final = 8


@cache
def _finishing(size: int) -> str:
    """The statement `finish` for so many endings."""
    return SQL["finish"].replace(_ROW, ", ".join([_ROW] * size))


def _ending(ends: Ending) -> tuple[Any, ...]:
    return (
        ends.state,
        ends.finished_at,
        ends.started_at,
        ends.worker,
        ends.pid,
        None if ends.result is None else bytearray(ends.result),  # see rows._payload
        ends.traceback or "",
        ends.deliveries,
        *_name(ends.delivery),
    )


def _retry(ends: Ending) -> tuple[Any, ...]:
    return (
        ends.retries + 1,
        ends.eta,
        ends.worker,
        ends.pid,
        ends.result,
        ends.traceback,
        None if ends.attempt is None else json_text(ends.attempt),
        *_name(ends.delivery),
    )


def put_back(connection: sqlite3.Connection, deliveries: Mapping[str, int], lease: str, now: float) -> None:
    """Runs under `lease` wait again, as before they began."""
    given = [(count, task_id, lease) for task_id, count in deliveries.items()]
    tell(connection, [each[1] for each in given if _changed(connection, SQL["put_back"], each)], now)


def lose(connection: sqlite3.Connection, leases: Iterable[str], now: float) -> None:
    """Runs under `leases` wait again, and are kept among the attempts as lost."""
    for lease in leases:
        runs = [(_with_lost(row, now), row[0]) for row in connection.execute(SQL["runs"], (lease,))]
        connection.executemany(SQL["lose"], runs)
        tell(connection, [task_id for _, task_id in runs], now)


def _with_lost(row: tuple[Any, ...], now: float) -> str | None:
    _, attempts, worker, pid, started_at = row
    before = attempts_of(attempts)
    lost = Attempt(number=len(before) + 1, state="LOST", worker=worker, pid=pid, started_at=started_at, finished_at=now)
    return attempts_text([*before, lost])


def _name(delivery: Delivery) -> tuple[str, int]:
    return delivery.message.task_id, generation_of(delivery)


def _changed(connection: sqlite3.Connection, statement: str, given: tuple[Any, ...]) -> bool:
    return connection.execute(statement, given).rowcount == 1


def _met(connection: sqlite3.Connection, delivery: Delivery, at: float, change: Callable[[], bool]) -> bool:
    """Make a change; where it finds no record because nobody wrote one, adopt the task first."""
    if change():
        return True
    if connection.execute(SQL["exists"], (delivery.message.task_id,)).fetchone():
        return False
    record = adopted(delivery, at)
    create(connection, [record], [rows_of(record)])
    return change()
