"""The records' contract on Redis."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from penstock.core import answers
from penstock.core.cursor import position
from penstock.core.errors import Conflict, NotFound, TaskIdTaken
from penstock.core.lifecycle import next_generation, revocation
from penstock.core.message import UNTOUCHED, Standing
from penstock.core.record import Change, Ending, Excerpt, Filter, Page, Record, Start, Tally
from penstock.core.results import Records, Watch
from penstock.core.states import RETRYABLE
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import MOST, Answer, Transaction
from penstock.drivers.redis.wire import Argument
from penstock.results.redis import feed, meta, runs
from penstock.results.redis.listing import Listing
from penstock.results.redis.rows import fields_of, message_blob, record_of

#: the channel that wakes watches: the feed grew
RECORDS = "records"
#: ids of tasks that nobody recorded are remembered from their check to their ending, these at most
_STRANGERS = 20_000
#: a watch of more tasks listens to the whole feed
_SINGLE = 500


class RedisRecords(Records):
    """Records in one database of a Redis server."""

    def __init__(self, driver: Redis, expires: float) -> None:
        self._driver = driver
        self._seconds = max(1, int(expires))
        self._strangers: dict[str, None] = {}
        driver.look = _look

    def create(self, records: Sequence[Record]) -> Step[None]:
        """Write new records; all or none."""
        fresh: list[Argument] = []
        for record in records:
            fresh += (record.task_id, record.submitter, repr(float(record.created_at)))

        def work(transaction: Transaction) -> Answer:
            for record in records:
                if record.task_id in transaction.tasks:
                    raise TaskIdTaken(record.task_id)
                transaction.tasks.add(record.task_id)
            most = MOST // 3 * 3
            for first in range(0, len(fresh), most):
                transaction.guard("fresh", *fresh[first : first + most], refused=_taken)
            runs.create(transaction, records)
            return _nothing

        return self._driver.step(work)

    def get(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """Read the records that exist; of a task that only Celery knows, what it told its clients."""
        return self._read("get", task_ids)

    def ended(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """Read the records of those that have ended, at a Celery worker's too."""
        return self._read("ended", task_ids)

    def check(self, task_ids: Sequence[str]) -> Step[dict[str, Standing]]:
        """Read the standing of those that exist."""
        ids = list(dict.fromkeys(task_ids))

        def work(transaction: Transaction) -> Answer:
            places = _in_portions(transaction, "check", ids)

            def answer(replies: list[Any]) -> dict[str, Standing]:
                rows = [row for place in places for row in replies[place]]
                standings = zip(ids, map(_standing, rows), strict=True)
                found = {task_id: standing for task_id, standing in standings if standing is not None}
                self._remember(task_id for task_id in ids if task_id not in found)
                return found

            return answer

        return self._driver.step(work)

    def start(self, starts: Sequence[Start], lease: str) -> Step[list[bool]]:
        """Mark runs and charge their deliveries."""
        met = [(each.delivery, each.started_at) for each in starts]

        def work(transaction: Transaction) -> Answer:
            runs.require(transaction, lease)
            runs.adopt(transaction, met, self._strangers)
            return runs.start(transaction, starts, lease, self._seconds)

        return self._driver.step(work)

    def finish(self, endings: Sequence[Ending], lease: str) -> Step[list[bool]]:
        """Write how runs ended."""
        met = [(ends.delivery, ends.started_at or ends.finished_at) for ends in endings]

        def work(transaction: Transaction) -> Answer:
            runs.require(transaction, lease)
            runs.adopt(transaction, met, self._strangers)
            done = runs.finish(transaction, endings, self._seconds)

            def answer(replies: list[Any]) -> Any:
                if self._strangers:
                    for delivery, _ in met:
                        self._strangers.pop(delivery.message.task_id, None)
                return done(replies)

            return answer

        return self._driver.step(work)

    def progress(self, reports: Mapping[str, bytes], lease: str) -> Step[None]:
        """Set the progress of running tasks."""
        given = [value for report in reports.items() for value in report]

        def work(transaction: Transaction) -> Answer:
            runs.require(transaction, lease)
            _in_portions(transaction, "progress", given)
            return _nothing

        return self._driver.step(work)

    def charge(self, deliveries: Mapping[str, int]) -> Step[None]:
        """Raise delivery counts."""
        given = [value for count in deliveries.items() for value in count]

        def work(transaction: Transaction) -> Answer:
            _in_portions(transaction, "charge", given)
            return _nothing

        return self._driver.step(work)

    def park(self, task_ids: Sequence[str], lease: str) -> Step[list[bool]]:
        """Let records stand for messages that leave the broker."""

        def work(transaction: Transaction) -> Answer:
            runs.require(transaction, lease)
            places = _in_portions(transaction, "park", task_ids, lease)
            return lambda replies: [each == 1 for place in places for each in replies[place]]

        return self._driver.step(work)

    def put_back(self, deliveries: Mapping[str, int], lease: str) -> Step[None]:
        """Let runs wait again, as before they began."""
        given = [value for count in deliveries.items() for value in count]

        def work(transaction: Transaction) -> Answer:
            runs.require(transaction, lease)
            _in_portions(transaction, "put_back", given, lease)
            return _nothing

        return self._driver.step(work)

    def cancel(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, str]]:
        """Mark unended records."""
        ids = list(dict.fromkeys(task_ids))

        def work(transaction: Transaction) -> Answer:
            places = _in_portions(transaction, "cancel", ids, reason)

            def answer(replies: list[Any]) -> dict[str, str]:
                states = [state for place in places for state in replies[place]]
                return {task_id: state.decode() for task_id, state in zip(ids, states, strict=True) if state}

            return answer

        return self._driver.step(work)

    def revoke(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, bool]]:
        """End waiting records."""
        ids, result, now = list(dict.fromkeys(task_ids)), revocation(reason), self._driver.clock()
        given = [value for task_id in ids for value in (task_id, answers.revoked(task_id, result, now))]

        def work(transaction: Transaction) -> Answer:
            places = _in_portions(transaction, "revoke", given, self._seconds, result)

            def answer(replies: list[Any]) -> dict[str, bool]:
                done = [each for place in places for each in replies[place]]
                return {task_id: was == 1 for task_id, was in zip(ids, done, strict=True) if was is not None}

            return answer

        return self._driver.step(work)

    def reopen(self, task_id: str) -> Step[Record]:
        """Begin the next generation."""

        async def work(transaction: Transaction) -> Answer:
            rows = await self._driver.step(self._rows([task_id]))
            if not rows or not rows[0][1]:
                raise NotFound(f"there is no task {task_id!r}")
            stored, record = record_of(rows[0]), _seen(rows[0])
            if record.state not in RETRYABLE:
                raise Conflict(f"the task is {record.state}; only FAILURE and REVOKED begin anew", record.state)
            again = next_generation(record)
            fields = fields_of(again)
            transaction.guard("stands", task_id, stored.state, stored.generation)
            transaction.do("reopen", task_id, message_blob(again.message), len(fields) // 2, *fields)
            return lambda _: again

        return self._driver.step(work)

    def forget(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete ended records."""
        return self._delete("ended", task_ids)

    def discard(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete what is pending and unconfirmed."""
        return self._delete("unsent", task_ids)

    def confirm(self, task_ids: Sequence[str]) -> Step[None]:
        """Mark publishes as confirmed."""

        def work(transaction: Transaction) -> Answer:
            _in_portions(transaction, "confirm", task_ids)
            return _nothing

        return self._driver.step(work)

    def unconfirmed(self, older: float, limit: int) -> Step[list[Record]]:
        """Waiting records whose publish is to be made again, longest owed first."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("waiting", "owed", -older, limit)

            async def answer(replies: list[Any]) -> list[Record]:
                ids = [task_id.decode() for task_id in replies[place]]
                found = await self.get(ids)
                return [found[task_id] for task_id in ids if task_id in found]

            return answer

        return self._driver.step(work)

    def page(self, which: Filter, limit: int, cursor: str | None = None) -> Step[Page]:
        """Records newest first."""
        before = position(cursor)

        async def work(transaction: Transaction) -> Answer:
            del transaction
            page = await Listing(self._driver, self.get, which).page(limit, before)
            return lambda _: page

        return self._driver.step(work)

    def tally(self, which: Filter, cursor: str | None = None) -> Step[Tally]:
        """Count a stretch."""
        before = position(cursor)

        async def work(transaction: Transaction) -> Answer:
            del transaction
            tally = await Listing(self._driver, self.get, which).tally(before)
            return lambda _: tally

        return self._driver.step(work)

    def count(self, which: Filter, at_most: int = 1_000_000) -> Step[int]:
        """Count what matches."""
        if which.text:
            raise ValueError("a search for text is counted by tally")

        async def work(transaction: Transaction) -> Answer:
            del transaction
            number = await Listing(self._driver, self.get, which).count(at_most)
            return lambda _: number

        return self._driver.step(work)

    def oldest(self, which: Filter) -> Step[float | None]:
        """When the first that matches was created."""

        async def work(transaction: Transaction) -> Answer:
            del transaction
            found = await Listing(self._driver, self.get, which).oldest()
            return lambda _: found

        return self._driver.step(work)

    def expired(self, limit: int) -> Step[list[str]]:
        """Ids of waiting records whose time has passed, the longest passed first."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("waiting", "expires", 0, limit)
            return lambda replies: [task_id.decode() for task_id in replies[place]]

        return self._driver.step(work)

    def prune(self, older: float, keep: int, limit: int = 1000) -> Step[int]:
        """Delete endings that are too old or too many."""
        return self._number("prune", older, keep, limit)

    def changes(self, after: int | None, limit: int = 1000) -> Step[list[Change]]:
        """The feed after a number."""
        return self._driver.step(feed.changes(after, limit))

    def excerpt(self, task_ids: Collection[str], after: int, limit: int = 1000) -> Step[Excerpt]:
        """The feed after a number, for some tasks."""
        return self._driver.step(feed.excerpt(frozenset(task_ids), after, limit))

    def watch(self, task_ids: Sequence[str] | None = None) -> Watch:
        """Wake on changes of these tasks, by our workers or Celery's; of many or all tasks: on every change."""
        if task_ids is None or len(task_ids) > _SINGLE:
            return self._driver.listen(RECORDS)
        own = [self._driver.channel(f"task.{task_id}") for task_id in task_ids]
        return self._driver.listen_to([*own, *(meta.key(self._driver.address.prefix, each) for each in task_ids)])

    def _read(self, name: str, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        def work(transaction: Transaction) -> Answer:
            answer = self._rows(task_ids, name)(transaction)
            return lambda replies: {record.task_id: record for record in map(_seen, answer(replies))}

        return self._driver.step(work)

    @staticmethod
    def _rows(task_ids: Sequence[str], name: str = "get") -> Callable[[Transaction], Callable[[list[Any]], list[Any]]]:
        ids = list(dict.fromkeys(task_ids))

        def work(transaction: Transaction) -> Callable[[list[Any]], list[Any]]:
            places = _in_portions(transaction, name, ids)
            return lambda replies: [row for place in places for row in replies[place]]

        return work

    def _delete(self, which: str, task_ids: Sequence[str]) -> Step[int]:
        def work(transaction: Transaction) -> Answer:
            places = _in_portions(transaction, "delete", task_ids, which)
            return lambda replies: sum(replies[place] for place in places)

        return self._driver.step(work)

    def _number(self, name: str, *arguments: Argument) -> Step[int]:
        def work(transaction: Transaction) -> Answer:
            place = transaction.do(name, *arguments)
            return lambda replies: replies[place]

        return self._driver.step(work)

    def _remember(self, task_ids: Any) -> None:
        """These have no record; that is told again when they begin or end."""
        strangers = self._strangers
        strangers.update(dict.fromkeys(task_ids))
        while len(strangers) > _STRANGERS:
            del strangers[next(iter(strangers))]


def _in_portions(transaction: Transaction, name: str, given: Sequence[Argument], *head: Argument) -> list[int]:
    """A step with many arguments, in as many as it takes; the places of their answers."""
    return [transaction.do(name, *head, *given[first : first + MOST]) for first in range(0, len(given), MOST)]


def _seen(row: Sequence[Any]) -> Record:
    return meta.merged(record_of(row), row[3])


#: what a check before a first run finds, in short
def _look(transaction: Transaction) -> Callable[[list[Any]], list[Standing | None]]:
    place = transaction.do("claimed")
    return lambda replies: list(map(_standing, replies[place]))


def _standing(row: Any) -> Standing | None:
    if row == 1:
        return UNTOUCHED
    if row is None:
        return None
    state, cancel, *numbers, left = row
    generation, retries, deliveries = (int(number or 0) for number in numbers)
    held = None if left is None else float(left)
    return Standing(state.decode(), (cancel or b"").decode(), generation, retries, deliveries, held)


def _taken(task_id: bytes) -> TaskIdTaken:
    return TaskIdTaken(task_id.decode())


def _nothing(replies: list[Any]) -> None:
    del replies
