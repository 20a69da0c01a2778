"""Records come to be, runs begin, end, are given back or lost: what that does to the rows, within a transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from itertools import groupby
from typing import Any, Final, TypeVar

from penstock.core.encoding import dumps
from penstock.core.errors import LeaseLost, TaskIdTaken
from penstock.core.lifecycle import adopted, generation_of
from penstock.core.message import Delivery
from penstock.core.record import Attempt, Ending, Record, Start
from penstock.core.states import RETRY
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session, Statement, columns
from penstock.results.postgres.rows import attempts_packed, creations, packed, payload, plain, submission

Run = TypeVar("Run", Start, Ending)
#: a statement and its parameters
Parts = tuple[Statement, Sequence[Any]]


def _statements() -> dict[str, str]:
    """Parts that several statements share are filled in."""
    found = sqlfile.load("penstock.results.postgres", "records.sql")
    parts = {name: found.pop(name) for name in ("columns", "paid", "tell_lines")}
    for name, text in parts.items():
        found = {key: each.replace("{" + name + "}", text) for key, each in found.items()}
    return found


SQL: Final = _statements()


class Running:
    """Changes of records on one driver."""

    def __init__(self, driver: Postgres) -> None:
        self.sql = driver.statements(SQL)

    # ---------------------------------------------------------------------------------------------------- coming to be

    async def create(self, session: Session, records: Sequence[Record], told: bool = True) -> None:
        """Write new records, and `told` in the feed. Raises TaskIdTaken."""
        fresh = _distinct(records)
        if not fresh:
            return
        made = await session.value(self.sql["create"], session.now, *creations(fresh), told)
        if made is not None:
            await self._complete(session, fresh, made)
        for record in fresh:
            if record.children or record.attempts:
                given = (record.task_id, record.children or None, attempts_packed(record.attempts))
                await session.count(self.sql["embellish"], *given)

    def created(self, records: Sequence[Record], now: float | None) -> Parts | None:
        """The statement that does the same where all are new and plain; None where there is none."""
        if not records or len({record.task_id for record in records}) < len(records) or not all(map(plain, records)):
            return None
        if len(records) == 1:
            return Statement("record", self.sql["submit_one"]), (now, *submission(records[0]))
        return Statement("record", self.sql["submit"]), (now, *columns(map(submission, records)))

    async def _complete(self, session: Session, records: Sequence[Record], made: Collection[str]) -> None:
        """Some ids were taken: allowed where an earlier try of the same submission has written them."""
        others = [record for record in records if record.task_id not in made]
        rows = await session.rows(self.sql["submissions"], [record.task_id for record in others])
        found = {task_id: (submitter, created_at) for task_id, submitter, created_at in rows}
        for record in others:
            if not _same(record, *found.get(record.task_id, ("", 0.0))):
                raise TaskIdTaken(record.task_id)
        fresh = [record for record in records if record.task_id in made]
        if fresh:
            await session.count(self.sql["pay"], *columns((each.task_id, *payload(each.message)) for each in fresh))

    # --------------------------------------------------------------------------------------------------------- running

    async def start(self, session: Session, starts: Sequence[Start], lease: str) -> list[bool]:
        """Mark runs and charge their deliveries; False where one must not begin. Raises LeaseLost."""

        async def change(runs: Sequence[Start]) -> list[int]:
            given = columns(
                (*_name(each.delivery), each.started_at, each.worker, each.pid, each.deliveries) for each in runs
            )
            return _changed(await session.row(self.sql["start"], session.now, lease, *given), lease)

        return await self._each(session, starts, change, lambda each: each.started_at)

    async def finish(self, session: Session, endings: Sequence[Ending], lease: str) -> list[bool]:
        """Write how runs ended; False where an ending or a later generation is there. Raises LeaseLost."""

        async def change(runs: Sequence[Ending]) -> list[int]:
            if runs[0].state == RETRY:
                row = await session.row(self.sql["retry"], session.now, lease, *columns(map(_retry, runs)))
            else:
                row = await session.row(self.sql["finish"], session.now, lease, *columns(map(_finish, runs)))
            return _changed(row, lease)

        done: list[bool] = []
        for _, group in groupby(endings, key=lambda each: each.state == RETRY):
            runs = list(group)
            marks = await self._each(session, runs, change, lambda each: each.started_at or each.finished_at)
            for run, mark in zip(runs, marks, strict=True):
                if mark and run.children:
                    await session.count(self.sql["add_children"], run.delivery.message.task_id, list(run.children))
            done += marks
        if not endings:
            await self.require(session, lease)
        return done

    def finished(self, endings: Sequence[Ending], lease: str, now: float | None) -> Parts | None:
        """The statement that does the same where all may end; None where there is none."""
        kinds = {ends.state == RETRY for ends in endings}
        alone = len({ends.delivery.message.task_id for ends in endings}) == len(endings)
        if len(kinds) != 1 or not alone or any(ends.children for ends in endings):
            return None
        if kinds == {True}:
            return Statement("record", self.sql["retry"]), (now, lease, *columns(map(_retry, endings)))
        return Statement("record", self.sql["finish"]), (now, lease, *columns(map(_finish, endings)))

    async def _each(
        self,
        session: Session,
        runs: Sequence[Run],
        change: Callable[[Sequence[Run]], Awaitable[list[int]]],
        at: Callable[[Run], float],
    ) -> list[bool]:
        """Make changes; those that find no record, because nobody wrote one, adopt their task and are made again."""
        done = [False] * len(runs)
        for places in _waves([run.delivery.message.task_id for run in runs]):
            wave = [runs[place] for place in places]
            changed = {places[number - 1] for number in await change(wave)}
            missed = [place for place in places if place not in changed]
            if missed:
                strange = await self._unknown(session, [runs[place] for place in missed])
                adopt = [place for place in missed if runs[place].delivery.message.task_id in strange]
                if adopt:
                    records = [adopted(runs[each].delivery, at(runs[each])) for each in adopt]
                    await self.create(session, records, told=False)
                    changed |= {adopt[number - 1] for number in await change([runs[each] for each in adopt])}
            for place in changed:
                done[place] = True
        return done

    async def _unknown(self, session: Session, runs: Sequence[Any]) -> set[str]:
        ids = {run.delivery.message.task_id for run in runs}
        return ids - set(await session.column(self.sql["exist"], list(ids)))

    async def require(self, session: Session, lease: str) -> None:
        """Raise LeaseLost unless `lease` is alive; it stays so until the transaction has ended."""
        if await session.value(self.sql["alive"], lease) is None:
            raise _lost(lease)

    async def lose(self, session: Session, leases: Sequence[str]) -> None:
        """Runs under `leases` wait again, and are kept among the attempts as lost."""
        now: float = (
            session.now
            if session.now is not None
            else await session.value("SELECT extract(epoch FROM statement_timestamp())::float8")
        )
        for lease in leases:
            runs = [(row[0], dumps(_lost_run(row, now))) for row in await session.rows(self.sql["runs"], lease)]
            if runs:
                await session.count(self.sql["lose"], session.now, *columns(runs))


def _finish(ends: Ending) -> tuple[Any, ...]:
    return (
        *_name(ends.delivery),
        ends.state,
        ends.finished_at,
        ends.started_at,
        ends.worker,
        ends.pid,
        ends.result,
        packed(ends.traceback),
        ends.deliveries,
    )


def _retry(ends: Ending) -> tuple[Any, ...]:
    return (
        *_name(ends.delivery),
        ends.retries + 1,
        ends.eta,
        ends.worker,
        ends.pid,
        ends.result,
        packed(ends.traceback),
        None if ends.attempt is None else dumps(ends.attempt),
    )


def _name(delivery: Delivery) -> tuple[str, int]:
    return delivery.message.task_id, generation_of(delivery)


def _changed(row: Any, lease: str) -> list[int]:
    *_, alive, done = row
    if not alive:
        raise _lost(lease)
    return done or []


def _lost(lease: str) -> LeaseLost:
    return LeaseLost(f"the lease {lease!r} is not alive any more")


def _lost_run(row: Sequence[Any], now: float) -> Attempt:
    _, attempts, worker, pid, started_at = row
    number = len(attempts or ()) + 1
    return Attempt(number=number, state="LOST", worker=worker, pid=pid, started_at=started_at, finished_at=now)


def _waves(task_ids: Sequence[str]) -> list[list[int]]:
    """Places in a list of ids, so that none comes twice in one wave: a statement changes each row once."""
    if len(set(task_ids)) == len(task_ids):
        return [list(range(len(task_ids)))] if task_ids else []
    waves: list[list[int]] = []
    met: Counter[str] = Counter()
    for place, task_id in enumerate(task_ids):
        if met[task_id] == len(waves):
            waves.append([])
        waves[met[task_id]].append(place)
        met[task_id] += 1
    return waves


def _same(record: Record, submitter: str, created_at: float) -> bool:
    """Whether it is the very submission that has written the record of these values."""
    return bool(record.submitter) and (record.submitter, record.created_at) == (submitter, created_at)


def _distinct(records: Sequence[Record]) -> list[Record]:
    fresh: dict[str, Record] = {}
    for record in records:
        first = fresh.setdefault(record.task_id, record)
        if first is not record and not _same(record, first.submitter, first.created_at):
            raise TaskIdTaken(record.task_id)
    return list(fresh.values())
