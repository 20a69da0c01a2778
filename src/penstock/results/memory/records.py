"""The records' contract in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from penstock.core import search
from penstock.core.cursor import position
from penstock.core.errors import Conflict, NotFound, TaskIdTaken
from penstock.core.lifecycle import next_generation, revocation
from penstock.core.message import Standing
from penstock.core.record import Change, Ending, Excerpt, Filter, Page, Record, Start, Tally
from penstock.core.results import Records, Watch
from penstock.core.states import PENDING, RETRYABLE, REVOKED, WAITING
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store
from penstock.results.memory import running
from penstock.results.memory.listing import matcher
from penstock.results.memory.rows import RECORDS, Row, Rows, handed_out

T = TypeVar("T")

#: seconds in which no number of endings deletes a record
_YOUNG = 3600.0


class MemoryRecords(Records):
    """Records in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self._driver = driver

    def create(self, records: Sequence[Record]) -> Step[None]:
        """Write new records; all or none."""

        def create(rows: Rows) -> None:
            for record in records:
                if record.task_id not in rows.rows:
                    rows.tell(rows.add(record))
                elif not _same_submission(rows.rows[record.task_id].record, record):
                    raise TaskIdTaken(record.task_id)

        return self._write(create)

    def get(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """Read the records that exist."""
        return self._read(lambda rows: {row.record.task_id: handed_out(row.record) for row in rows.known(task_ids)})

    def ended(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """Read the records of those that have ended."""

        def ended(rows: Rows) -> dict[str, Record]:
            return {row.record.task_id: handed_out(row.record) for row in rows.known(task_ids) if row.ended}

        return self._read(ended)

    def check(self, task_ids: Sequence[str]) -> Step[dict[str, Standing]]:
        """Read the standing of those that exist."""
        return self._read(lambda rows: {row.record.task_id: _standing(row, rows) for row in rows.known(task_ids)})

    def start(self, starts: Sequence[Start], lease: str) -> Step[list[bool]]:
        """Mark runs and charge their deliveries."""

        def start(rows: Rows) -> list[bool]:
            rows.require(lease)
            return [running.start(rows, begins, lease) for begins in starts]

        return self._write(start)

    def finish(self, endings: Sequence[Ending], lease: str) -> Step[list[bool]]:
        """Write how runs ended."""

        def finish(rows: Rows) -> list[bool]:
            rows.require(lease)
            return [running.finish(rows, ends) for ends in endings]

        return self._write(finish)

    def progress(self, reports: Mapping[str, bytes], lease: str) -> Step[None]:
        """Set the progress of running tasks."""

        def progress(rows: Rows) -> None:
            rows.require(lease)
            for row in rows.unended(reports):
                report = reports[row.record.task_id]
                rows.put(row.changed(progress=report))
                rows.tell(row, "PROGRESS", report)

        return self._write(progress)

    def charge(self, deliveries: Mapping[str, int]) -> Step[None]:
        """Raise delivery counts."""

        def charge(rows: Rows) -> None:
            for row in rows.unended(deliveries):
                count = max(row.record.deliveries, deliveries[row.record.task_id])
                rows.put(row.changed(deliveries=count))

        return self._write(charge)

    def park(self, task_ids: Sequence[str], lease: str) -> Step[list[bool]]:
        """Let records stand for messages that leave the broker."""

        def park(rows: Rows) -> list[bool]:
            rows.require(lease)
            return [rows.park(task_id, lease) for task_id in task_ids]

        return self._write(park)

    def put_back(self, deliveries: Mapping[str, int], lease: str) -> Step[None]:
        """Let runs wait again, as before they began."""

        def put_back(rows: Rows) -> None:
            rows.require(lease)
            rows.put_back(deliveries, lease)

        return self._write(put_back)

    def cancel(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, str]]:
        """Mark unended records."""

        def cancel(rows: Rows) -> dict[str, str]:
            for row in rows.unended(task_ids):
                owed = rows.now if row.owed is None else row.owed
                rows.put(replace(row.changed(cancel=reason, confirmed=False), owed=owed))
            return {row.record.task_id: row.record.state for row in rows.known(task_ids)}

        return self._write(cancel)

    def revoke(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, bool]]:
        """End waiting records."""

        def revoke(rows: Rows) -> dict[str, bool]:
            known = rows.known(task_ids)
            for row in known:
                if row.record.state in WAITING:
                    ended = row.changed(state=REVOKED, result=revocation(reason), finished_at=rows.now)
                    rows.put(ended)
                    rows.tell(ended)
            return {row.record.task_id: row.record.state in WAITING for row in known}

        return self._write(revoke)

    def reopen(self, task_id: str) -> Step[Record]:
        """Begin the next generation."""

        def reopen(rows: Rows) -> Record:
            row = rows.rows.get(task_id)
            if row is None:
                raise NotFound(f"there is no task {task_id!r}")
            if row.record.state not in RETRYABLE:
                raise Conflict(f"the task is {row.record.state}; only FAILURE and REVOKED begin anew", row.record.state)
            again = Row(row.seq, next_generation(row.record), owed=rows.now)
            rows.put(again)
            rows.tell(again)
            return handed_out(again.record)

        return self._write(reopen)

    def forget(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete ended records."""
        return self._write(lambda rows: _delete(rows, (row for row in rows.known(task_ids) if row.ended)))

    def discard(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete what is pending and unconfirmed."""

        def unsent(row: Row) -> bool:
            return row.record.state == PENDING and not row.record.confirmed

        return self._write(lambda rows: _delete(rows, filter(unsent, rows.known(task_ids))))

    def confirm(self, task_ids: Sequence[str]) -> Step[None]:
        """Mark publishes as confirmed."""

        def confirm(rows: Rows) -> None:
            for row in rows.known(task_ids):
                rows.put(replace(row.changed(confirmed=True), owed=None))

        return self._write(confirm)

    def unconfirmed(self, older: float, limit: int) -> Step[list[Record]]:
        """Waiting records whose publish is to be made again, longest owed first."""

        def unconfirmed(rows: Rows) -> list[Record]:
            owed = [
                (row.owed, row.seq, row.record)
                for row in rows.rows.values()
                if row.owed is not None and row.owed <= rows.now - older and row.record.state in WAITING
            ]
            return [handed_out(record) for *_, record in sorted(owed, key=lambda each: each[:2])[:limit]]

        return self._read(unconfirmed)

    def page(self, which: Filter, limit: int, cursor: str | None = None) -> Step[Page]:
        """Records newest first."""
        before, matches = position(cursor), matcher(which)

        def page(rows: Rows) -> Page:
            older, last = _stretch(rows, which, before, endless=search.by_state_only(which))
            found = list(islice((row for row in older if matches(row.record)), limit + 1))
            items = [handed_out(row.record) for row in found[:limit]]
            if len(found) > limit:
                return Page(items, str(found[limit - 1].seq))
            return Page(items, None) if last is None else Page(items, str(last.seq), last.record.created_at)

        return self._read(page)

    def tally(self, which: Filter, cursor: str | None = None) -> Step[Tally]:
        """Count a stretch."""
        before, matches = position(cursor), matcher(which)

        def tally(rows: Rows) -> Tally:
            older, last = _stretch(rows, which, before)
            number = sum(matches(row.record) for row in older)
            return Tally(number, None) if last is None else Tally(number, str(last.seq), last.record.created_at)

        return self._read(tally)

    def count(self, which: Filter, at_most: int = 1_000_000) -> Step[int]:
        """Count what matches."""
        if which.text:
            raise ValueError("a search for text is counted by tally")
        matches = matcher(which)

        def count(rows: Rows) -> int:
            return sum(1 for _ in islice((row for row in rows.rows.values() if matches(row.record)), at_most))

        return self._read(count)

    def oldest(self, which: Filter) -> Step[float | None]:
        """When the first that matches was created."""
        matches = matcher(which)

        def oldest(rows: Rows) -> float | None:
            found = (row for row in rows.rows.values() if matches(row.record))
            first = min(found, key=lambda row: row.seq, default=None)
            return None if first is None else first.record.created_at

        return self._read(oldest)

    def expired(self, limit: int) -> Step[list[str]]:
        """Ids of waiting records whose time has passed, the longest passed first."""

        def expired(rows: Rows) -> list[str]:
            waiting = (row.record for row in rows.rows.values() if row.record.state in WAITING)
            past = [(record.expires, record.task_id) for record in waiting if record.expires is not None]
            return [task_id for expires, task_id in sorted(past) if expires <= rows.now][:limit]

        return self._read(expired)

    def prune(self, older: float, keep: int, limit: int = 1000) -> Step[int]:
        """Delete endings that are too old or too many."""

        def prune(rows: Rows) -> int:
            ended = [(row.record.finished_at or 0.0, row.seq, row) for row in rows.rows.values() if row.ended]
            ended.sort(key=lambda each: each[:2])
            surplus = len(ended) - keep
            gone = [
                row
                for place, (at, _, row) in enumerate(ended)
                if at < rows.now - older or (place < surplus and at <= rows.now - _YOUNG)
            ]
            return _delete(rows, gone[:limit])

        return self._write(prune)

    def changes(self, after: int | None, limit: int = 1000) -> Step[list[Change]]:
        """The feed after a number."""

        def changes(rows: Rows) -> list[Change]:
            numbers = sorted(rows.feed)
            wanted = numbers[-1:] if after is None else [number for number in numbers if number > after][:limit]
            return [rows.feed[number] for number in wanted]

        return self._read(changes)

    def excerpt(self, task_ids: Collection[str], after: int, limit: int = 1000) -> Step[Excerpt]:
        """The feed after a number, for some tasks."""
        wanted = frozenset(task_ids)

        def excerpt(rows: Rows) -> Excerpt:
            numbers = sorted(number for number in rows.feed if number > after)[:limit]
            lines = [rows.feed[number] for number in numbers]
            mine = [line for line in lines if line.task_id in wanted]
            return Excerpt(mine, numbers[-1] if numbers else after, len(lines))

        return self._read(excerpt)

    def watch(self, task_ids: Sequence[str] | None = None) -> Watch:
        """Wake on every change: a wake-up too many costs a look."""
        del task_ids
        return self._driver.listen(RECORDS)

    def _write(self, work: Callable[[Rows], T]) -> Step[T]:
        return self._driver.write(lambda store: work(self._rows(store)), RECORDS)

    def _read(self, work: Callable[[Rows], T]) -> Step[T]:
        return self._driver.read(lambda store: work(self._rows(store)))

    def _rows(self, store: Store) -> Rows:
        return Rows(store, self._driver.clock())


def _stretch(rows: Rows, which: Filter, before: int | None, *, endless: bool = False) -> tuple[list[Row], Row | None]:
    """The rows to look at below a number, newest first; the last of them if it has to be led on from there."""
    older = [row for row in rows.newest_first() if before is None or row.seq < before]
    if endless:
        return older, None
    parts = [older]
    if which.states and not which.text:
        parts = [[row for row in older if row.record.state == state] for state in set(which.states)]
    most = search.stretch(which)
    last = max((part[most - 1] for part in parts if len(part) >= most), key=lambda row: row.seq, default=None)
    return [row for row in older if last is None or row.seq >= last.seq], last


def _same_submission(found: Record, record: Record) -> bool:
    return bool(record.submitter) and (found.submitter, found.created_at) == (record.submitter, record.created_at)


def _standing(row: Row, rows: Rows) -> Standing:
    record = row.record
    held = rows.leases[row.lease].until - rows.now if rows.alive(row.lease) else None
    return Standing(record.state, record.cancel, record.generation, record.retries, record.deliveries, held)


def _delete(rows: Rows, gone: Iterable[Row]) -> int:
    ids = [row.record.task_id for row in gone]
    for task_id in ids:
        del rows.rows[task_id]
        rows.logs.pop(task_id, None)
    return len(ids)
