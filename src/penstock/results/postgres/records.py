"""The records' contract on PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

from penstock.core.cursor import position
from penstock.core.errors import Conflict, NotFound
from penstock.core.head import head_of
from penstock.core.lifecycle import next_generation, revocation
from penstock.core.message import Standing
from penstock.core.record import Change, Ending, Excerpt, Filter, Page, Record, Start, Tally
from penstock.core.results import Records, Watch
from penstock.core.states import RETRYABLE
from penstock.core.step import Step
from penstock.drivers.postgres import Part, Postgres, Session
from penstock.results.postgres.feed import Feed
from penstock.results.postgres.listing import Listing
from penstock.results.postgres.retention import Retention
from penstock.results.postgres.rows import attempts_packed, enlisted, record_of
from penstock.results.postgres.running import Running

#: the topic that wakes watches: the feed grew
RECORDS: Final = "records"


class PostgresRecords(Records):
    """Records in one schema."""

    def __init__(self, driver: Postgres) -> None:
        driver.look = True
        self._driver = driver
        self._running = Running(driver)
        self._sql = self._running.sql
        self._feed = Feed(driver)
        self._listing = Listing(driver)
        self._retention = Retention(driver)

    def create(self, records: Sequence[Record]) -> Step[None]:
        """Write new records; all or none."""
        plain = lambda: self._sql["enlist"].format(enlisted(records).hex())  # noqa: E731

        async def created(_session: Session, _rows: Sequence[Any]) -> None:
            pass

        async def create(session: Session) -> None:
            await self._running.create(session, records)

        if (parts := self._running.created(records, self._driver.now)) is None:
            return self._driver.write(create, RECORDS, plain)
        return Part(self._driver, *parts, created, work=create, wakes=RECORDS, plain=plain)

    def get(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """Read the records that exist."""
        return self._read("get", task_ids)

    def ended(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """Read the records of those that have ended."""
        return self._read("get_ended", task_ids)

    def check(self, task_ids: Sequence[str]) -> Step[dict[str, Standing]]:
        """Read the standing of those that exist."""
        ids = list(task_ids)

        async def check(session: Session) -> dict[str, Standing]:
            return {
                task_id: Standing(*rest) for task_id, *rest in await session.rows(self._sql["check"], session.now, ids)
            }

        return self._driver.read(check)

    def start(self, starts: Sequence[Start], lease: str) -> Step[list[bool]]:
        """Mark runs and charge their deliveries."""
        return self._change(lambda session: self._running.start(session, starts, lease))

    def finish(self, endings: Sequence[Ending], lease: str) -> Step[list[bool]]:
        """Write how runs ended."""

        async def finished(_session: Session, _rows: Sequence[Any]) -> list[bool]:
            return [True] * len(endings)

        async def finish(session: Session) -> list[bool]:
            return await self._running.finish(session, endings, lease)

        if (parts := self._running.finished(endings, lease, self._driver.now)) is None:
            return self._change(finish)
        return Part(self._driver, *parts, finished, work=finish, wakes=RECORDS)

    def progress(self, reports: Mapping[str, bytes], lease: str) -> Step[None]:
        """Set the progress of running tasks."""
        given = (list(reports), list(reports.values()))

        async def progress(session: Session) -> None:
            await self._running.require(session, lease)
            await session.count(self._sql["progress"], session.now, *given)

        return self._change(progress)

    def charge(self, deliveries: Mapping[str, int]) -> Step[None]:
        """Raise delivery counts."""
        given = (list(deliveries), list(deliveries.values()))

        async def charge(session: Session) -> None:
            await session.count(self._sql["charge"], *given)

        return self._driver.single(charge)

    def park(self, task_ids: Sequence[str], lease: str) -> Step[list[bool]]:
        """Let records stand for messages that leave the broker."""
        ids = list(task_ids)

        async def park(session: Session) -> list[bool]:
            await self._running.require(session, lease)
            parked = set(await session.column(self._sql["park"], ids, lease))
            return [task_id in parked for task_id in ids]

        return self._driver.write(park)

    def put_back(self, deliveries: Mapping[str, int], lease: str) -> Step[None]:
        """Let runs wait again, as before they began."""
        given = (list(deliveries), list(deliveries.values()))

        async def put_back(session: Session) -> None:
            await self._running.require(session, lease)
            await session.count(self._sql["put_back"], session.now, lease, *given)

        return self._change(put_back)

    def cancel(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, str]]:
        """Mark unended records."""
        ids = list(task_ids)

        async def cancel(session: Session) -> dict[str, str]:
            await session.count(self._sql["cancel"], session.now, ids, reason)
            return await self._states(session, ids)

        return self._change(cancel)

    def revoke(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, bool]]:
        """End waiting records."""
        ids, result = list(dict.fromkeys(task_ids)), revocation(reason)

        async def revoke(session: Session) -> dict[str, bool]:
            done = set(await session.column(self._sql["revoke"], session.now, ids, result))
            return {task_id: task_id in done for task_id in await session.column(self._sql["exist"], ids)}

        return self._change(revoke)

    def reopen(self, task_id: str) -> Step[Record]:
        """Begin the next generation."""

        async def reopen(session: Session) -> Record:
            row = await session.row(self._sql["lock"], task_id)
            if row is None:
                raise NotFound(f"there is no task {task_id!r}")
            record = record_of(row)
            if record.state not in RETRYABLE:
                raise Conflict(f"the task is {record.state}; only FAILURE and REVOKED begin anew", record.state)
            again = next_generation(record)
            given = (task_id, again.generation, attempts_packed(again.attempts), head_of(again.message))
            await session.count(self._sql["reopen"], session.now, *given)
            return again

        return self._change(reopen)

    def forget(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete ended records."""
        ids = list(task_ids)
        return self._driver.single(lambda session: session.value(self._sql["forget"], ids))

    def discard(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete what is pending and unconfirmed."""
        ids = list(task_ids)
        return self._driver.single(lambda session: session.value(self._sql["discard"], ids))

    def confirm(self, task_ids: Sequence[str]) -> Step[None]:
        """Mark publishes as confirmed."""
        ids = list(task_ids)

        async def confirm(session: Session) -> None:
            await session.count(self._sql["confirm"], ids)

        return self._driver.single(confirm)

    def unconfirmed(self, older: float, limit: int) -> Step[list[Record]]:
        """Waiting records whose publish is to be made again, longest owed first."""

        async def unconfirmed(session: Session) -> list[Record]:
            rows = await session.rows(self._sql["unconfirmed"], session.now, older, limit)
            return [record_of(row) for row in rows]

        return self._driver.read(unconfirmed)

    def page(self, which: Filter, limit: int, cursor: str | None = None) -> Step[Page]:
        """Records newest first."""
        before = position(cursor)
        return self._driver.read(lambda session: self._listing.page(session, which, limit, before))

    def tally(self, which: Filter, cursor: str | None = None) -> Step[Tally]:
        """Count a stretch."""
        before = position(cursor)
        return self._driver.read(lambda session: self._listing.tally(session, which, before))

    def count(self, which: Filter, at_most: int = 1_000_000) -> Step[int]:
        """Count what matches."""
        return self._driver.read(lambda session: self._listing.count(session, which, at_most))

    def oldest(self, which: Filter) -> Step[float | None]:
        """When the first that matches was created."""
        return self._driver.read(lambda session: self._listing.oldest(session, which))

    def expired(self, limit: int) -> Step[list[str]]:
        """Ids of waiting records whose time has passed, the longest passed first."""
        return self._driver.read(lambda session: session.column(self._sql["expired"], session.now, limit))

    def prune(self, older: float, keep: int, limit: int = 1000) -> Step[int]:
        """Delete endings that are too old or too many."""
        return self._driver.write(lambda session: self._retention.prune(session, older, keep, limit))

    def changes(self, after: int | None, limit: int = 1000) -> Step[list[Change]]:
        """The feed after a number."""
        return self._driver.read(lambda session: self._feed.changes(session, after, limit))

    def excerpt(self, task_ids: Collection[str], after: int, limit: int = 1000) -> Step[Excerpt]:
        """The feed after a number, for some tasks."""
        return self._driver.read(lambda session: self._feed.excerpt(session, task_ids, after, limit))

    def watch(self, task_ids: Sequence[str] | None = None) -> Watch:
        """Wake on every change: a wake-up too many costs a look."""
        del task_ids
        return self._driver.listen(RECORDS)

    def _read(self, statement: str, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        ids = list(task_ids)

        async def read(session: Session) -> dict[str, Record]:
            return {row[1]: record_of(row) for row in await session.rows(self._sql[statement], ids)}

        return self._driver.read(read)

    def _change(self, work: Callable[[Session], Awaitable[Any]]) -> Step[Any]:
        """A write that the feed tells of."""
        return self._driver.write(work, RECORDS)

    async def _states(self, session: Session, ids: Sequence[str]) -> dict[str, str]:
        return {row[0]: row[1] for row in await session.rows(self._sql["states"], ids)}
