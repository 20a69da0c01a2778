"""The records' contract on SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from penstock.core.cursor import position
from penstock.core.errors import Conflict, NotFound
from penstock.core.head import head_of
from penstock.core.lifecycle import next_generation, revocation
from penstock.core.message import UNTOUCHED, Standing
from penstock.core.record import Change, Ending, Excerpt, Filter, Page, Record, Start, Tally
from penstock.core.results import Records, Watch
from penstock.core.states import RETRYABLE, WAITING
from penstock.core.step import Step
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite import listing, retention, running
from penstock.results.sqlite.rows import attempts_text, change_of, json_text, record_of, records_of, rows_of
from penstock.results.sqlite.running import SQL

T = TypeVar("T")
R = TypeVar("R", Start, Ending)

#: the topic that wakes watches: the feed grew
RECORDS = "records"


class SQLiteRecords(Records):
    """Records in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self._driver = driver
        driver.look = self._look

    def create(self, records: Sequence[Record]) -> Step[None]:
        """Write new records; all or none."""
        rows = [rows_of(record) for record in records]

        def create(connection: sqlite3.Connection) -> None:
            first = running.create(connection, records, rows)
            connection.execute(SQL["tell_created"], {"seq": first, "now": self._driver.clock()})

        return self._change(create)

    def get(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """Read the records that exist."""
        return self._read("get", task_ids)

    def ended(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """Read the records of those that have ended."""
        return self._read("get_ended", task_ids)

    def check(self, task_ids: Sequence[str]) -> Step[dict[str, Standing]]:
        """Read the standing of those that exist."""

        def check(connection: sqlite3.Connection) -> dict[str, Standing]:
            given = {**_ids(task_ids), "now": self._driver.clock()}
            return {task_id: Standing(*rest) for task_id, *rest in connection.execute(SQL["check"], given)}

        return self._driver.read(check)

    def start(self, starts: Sequence[Start], lease: str) -> Step[list[bool]]:
        """Mark runs and charge their deliveries."""

        def start(connection: sqlite3.Connection, starts: Sequence[Start]) -> list[bool]:
            return [running.start(connection, begins, lease) for begins in starts]

        return self._runs(starts, start, lease)

    def finish(self, endings: Sequence[Ending], lease: str) -> Step[list[bool]]:
        """Write how runs ended."""
        return self._runs(endings, running.finish, lease)

    def progress(self, reports: Mapping[str, bytes], lease: str) -> Step[None]:
        """Set the progress of running tasks."""
        given = [(report, task_id) for task_id, report in reports.items()]

        def progress(connection: sqlite3.Connection) -> None:
            now = self._driver.clock()
            running.require(connection, lease)
            connection.executemany(SQL["progress"], given)
            connection.execute(SQL["tell_progress"], {**_ids(reports), "now": now})

        return self._change(progress)

    def charge(self, deliveries: Mapping[str, int]) -> Step[None]:
        """Raise delivery counts."""
        given = [(count, task_id) for task_id, count in deliveries.items()]

        def charge(connection: sqlite3.Connection) -> None:
            connection.executemany(SQL["charge"], given)

        return self._driver.write(charge)

    def park(self, task_ids: Sequence[str], lease: str) -> Step[list[bool]]:
        """Let records stand for messages that leave the broker."""

        def park(connection: sqlite3.Connection) -> list[bool]:
            running.require(connection, lease)
            return [connection.execute(SQL["park"], (task_id, lease)).rowcount == 1 for task_id in task_ids]

        return self._driver.write(park)

    def put_back(self, deliveries: Mapping[str, int], lease: str) -> Step[None]:
        """Let runs wait again, as before they began."""

        def put_back(connection: sqlite3.Connection) -> None:
            now = self._driver.clock()
            running.require(connection, lease)
            running.put_back(connection, deliveries, lease, now)

        return self._change(put_back)

    def cancel(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, str]]:
        """Mark unended records."""

        def cancel(connection: sqlite3.Connection) -> dict[str, str]:
            connection.execute(SQL["cancel"], {**_ids(task_ids), "reason": reason, "now": self._driver.clock()})
            return _states(connection, task_ids)

        return self._change(cancel)

    def revoke(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, bool]]:
        """End waiting records."""
        result = revocation(reason)

        def revoke(connection: sqlite3.Connection) -> dict[str, bool]:
            now, found = self._driver.clock(), _states(connection, task_ids)
            connection.execute(SQL["revoke"], {**_ids(found), "result": result, "now": now})
            running.tell(connection, [task_id for task_id in task_ids if found.get(task_id) in WAITING], now)
            return {task_id: state in WAITING for task_id, state in found.items()}

        return self._change(revoke)

    def reopen(self, task_id: str) -> Step[Record]:
        """Begin the next generation."""

        def reopen(connection: sqlite3.Connection) -> Record:
            again, now = next_generation(_retryable(connection, task_id)), self._driver.clock()
            given = {"task_id": task_id, "now": now, "generation": again.generation}
            connection.execute(SQL["reopen"], {**given, "attempts": attempts_text(again.attempts)})
            connection.execute(SQL["reopen_payload"], {**given, "head": head_of(again.message)})
            running.tell(connection, [task_id], now)
            return again

        return self._change(reopen)

    def forget(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete ended records."""
        return self._delete("ended", task_ids)

    def discard(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete what is pending and unconfirmed."""
        return self._delete("unsent", task_ids)

    def confirm(self, task_ids: Sequence[str]) -> Step[None]:
        """Mark publishes as confirmed."""

        def confirm(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["confirm"], _ids(task_ids))

        return self._driver.write(confirm)

    def unconfirmed(self, older: float, limit: int) -> Step[list[Record]]:
        """Waiting records whose publish is to be made again, longest owed first."""

        def unconfirmed(connection: sqlite3.Connection) -> list[Record]:
            given = {"since": self._driver.clock() - older, "limit": limit}
            return records_of(connection.execute(SQL["unconfirmed"], given))

        return self._driver.read(unconfirmed)

    def page(self, which: Filter, limit: int, cursor: str | None = None) -> Step[Page]:
        """Records newest first."""
        before = position(cursor)
        return self._driver.read(lambda connection: listing.page(connection, which, limit, before))

    def tally(self, which: Filter, cursor: str | None = None) -> Step[Tally]:
        """Count a stretch."""
        before = position(cursor)
        return self._driver.read(lambda connection: listing.tally(connection, which, before))

    def count(self, which: Filter, at_most: int = 1_000_000) -> Step[int]:
        """Count what matches."""
        return self._driver.read(lambda connection: listing.count(connection, which, at_most))

    def oldest(self, which: Filter) -> Step[float | None]:
        """When the first that matches was created."""
        return self._driver.read(lambda connection: listing.oldest(connection, which))

    def expired(self, limit: int) -> Step[list[str]]:
        """Ids of waiting records whose time has passed, the longest passed first."""

        def expired(connection: sqlite3.Connection) -> list[str]:
            given = {"now": self._driver.clock(), "limit": limit}
            return [task_id for (task_id,) in connection.execute(SQL["expired"], given)]

        return self._driver.read(expired)

    def prune(self, older: float, keep: int, limit: int = 1000) -> Step[int]:
        """Delete endings that are too old or too many."""
        return self._driver.write(
            lambda connection: retention.prune(connection, older, keep, limit, self._driver.clock())
        )

    def changes(self, after: int | None, limit: int = 1000) -> Step[list[Change]]:
        """The feed after a number."""

        def changes(connection: sqlite3.Connection) -> list[Change]:
            given = {"after": after, "limit": limit}
            rows = connection.execute(*(SQL["newest_change"],) if after is None else (SQL["changes"], given))
            return [change_of(row) for row in rows]

        return self._driver.read(changes)

    def excerpt(self, task_ids: Collection[str], after: int, limit: int = 1000) -> Step[Excerpt]:
        """The feed after a number, for some tasks."""
        wanted = frozenset(task_ids)

        def excerpt(connection: sqlite3.Connection) -> Excerpt:
            lines = connection.execute(SQL["glance"], {"after": after, "limit": limit}).fetchall()
            seqs = [seq for seq, task_id in lines if task_id in wanted]
            rows = connection.execute(SQL["changes_numbered"], {"seqs": json_text(seqs)}) if seqs else ()
            return Excerpt([change_of(row) for row in rows], lines[-1][0] if lines else after, len(lines))

        return self._driver.read(excerpt)

    def watch(self, task_ids: Sequence[str] | None = None) -> Watch:
        """Wake on every change: a wake-up too many costs a look."""
        del task_ids
        return self._driver.listen(RECORDS)

    def _read(self, statement: str, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        given = _ids(task_ids)

        def read(connection: sqlite3.Connection) -> dict[str, Record]:
            return {record.task_id: record for record in records_of(connection.execute(SQL[statement], given))}

        return self._driver.read(read)

    def _change(self, work: Callable[[sqlite3.Connection], T]) -> Step[T]:
        """A write that the feed tells of."""
        return self._driver.write(work, RECORDS)

    def _runs(
        self, runs: Sequence[R], change: Callable[[sqlite3.Connection, Sequence[R]], list[bool]], lease: str
    ) -> Step[list[bool]]:
        """A change of each run, under a lease that is alive."""

        def write(connection: sqlite3.Connection) -> list[bool]:
            now = self._driver.clock()
            running.require(connection, lease)
            done = change(connection, runs)
            told = [run.delivery.message.task_id for run, is_done in zip(runs, done, strict=True) if is_done]
            running.tell(connection, told, now)
            return done

        return self._change(write)

    def _look(self, connection: sqlite3.Connection, task_ids: Sequence[str]) -> list[Standing]:
        """How tasks stand whose messages are being claimed, in their order; one without a record may run as well."""
        given = {**_ids(task_ids), "now": self._driver.clock()}
        stirred = {task_id: Standing(*rest) for task_id, *rest in connection.execute(SQL["stirred"], given)}
        return [stirred.get(task_id, UNTOUCHED) for task_id in task_ids]

    def _delete(self, which: str, task_ids: Sequence[str]) -> Step[int]:
        def delete(connection: sqlite3.Connection) -> int:
            seqs = [seq for (seq,) in connection.execute(SQL[which], _ids(task_ids))]
            return retention.delete(connection, seqs)

        return self._driver.write(delete)


def _ids(task_ids: Sequence[str] | Mapping[str, Any]) -> dict[str, str]:
    return {"ids": json_text(list(task_ids))}


def _states(connection: sqlite3.Connection, task_ids: Sequence[str]) -> dict[str, str]:
    return dict(connection.execute(SQL["states"], _ids(task_ids)).fetchall())


def _retryable(connection: sqlite3.Connection, task_id: str) -> Record:
    row = connection.execute(SQL["get"], _ids([task_id])).fetchone()
    if row is None:
        raise NotFound(f"there is no task {task_id!r}")
    record = record_of(row)
    if record.state not in RETRYABLE:
        raise Conflict(f"the task is {record.state}; only FAILURE and REVOKED begin anew", record.state)
    return record
