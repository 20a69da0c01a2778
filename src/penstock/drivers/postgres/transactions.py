"""Transactions: many callers' steps in one, each standing or falling by itself; and reads beside them.

While a transaction is in flight the next callers gather; nobody waits for a timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from penstock.core.step import Step
from penstock.drivers.postgres.errors import AGAIN, code, translated
from penstock.drivers.postgres.link import Link, Links, Session
from penstock.drivers.postgres.parts import REFUSED, Whole, whole

#: calls in one transaction: bounds what a failure repeats
_GROUP = 100
#: how often a transaction is tried that others' changes undid
_TRIES = 10
#: transactions after which sleepers are looked for, even if the next one could begin at once
_PATIENCE = 4
# Whoever sleeps holds a shared lock: where the exclusive one is to be had, nobody does. Asked for after the commit, so
# that one who fell asleep before is found, and one who falls asleep later sees what was committed. (A statement made of
# parts asks by itself, see parts.py. A transaction must not: its client may stand still within, and bar the gate.)
_ROUSE = (
    "SELECT pg_notify(channel, '') FROM unnest($1::text[], $2::bigint[]) AS asked (channel, key) "
    "WHERE NOT pg_try_advisory_xact_lock(key)"
)


class Read(Step[Any]):
    """A step that only reads, and so runs beside the writers; its class is the mark."""

    __slots__ = ()


class Single(Step[Any]):
    """A step of one statement: alone, it needs no BEGIN and no COMMIT."""

    __slots__ = ()


@dataclass(slots=True)
class Counters:
    """What the driver did since it was made."""

    transactions: int = 0  #: that write
    reads: int = 0
    wakes: int = 0  #: notifications sent because somebody was asleep


class _Job:
    """One call of `run`, and the future that its caller awaits."""

    __slots__ = ("done", "steps")

    def __init__(self, steps: Sequence[Step[Any]]) -> None:
        self.steps = steps
        self.done: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def end(self, results: list[Any]) -> None:
        if not self.done.done():  # its caller went away
            self.done.set_result(results)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class _Failed(Exception):
    """A transaction did not come to its end. `unsent`: provably nothing of it was applied."""

    def __init__(self, error: Exception, *, unsent: bool, broken: bool) -> None:
        super().__init__(error)
        self.error = error
        self.unsent = unsent
        self.broken = broken  #: it was the connection's fault, not a step's


class Writer:
    """One connection on which all writes of a driver go, in the order of coming.

    `wakes` turns topics into channels, the locks that their sleepers hold, and the gates that these came through.
    """

    def __init__(
        self,
        links: Links,
        now: Callable[[], float | None],
        wakes: Callable[[Sequence[str]], tuple[list[str], list[int], list[int]]],
        counters: Counters,
    ) -> None:
        self._link = Link(links)
        self._address = links.address
        self._now = now
        self._wakes = wakes
        self._counters = counters
        self._waiting: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None
        self._topics: dict[str, None] = {}
        self._unasked = 0  # transactions since sleepers were looked for

    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        job = _Job(steps)
        self._waiting.append(job)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(), name="penstock-postgres-writer")
        return await job.done

    async def connect(self) -> None:
        """Be connected, so that what is wrong with the server is found now."""
        if self._task is None:
            await self._link.get()

    async def close(self) -> None:
        """Finish what waits, then hang up."""
        if self._task is not None:
            await self._task
        await self._link.close()

    async def _work(self) -> None:
        try:
            while self._waiting or self._topics:
                if self._waiting:
                    await self._execute([self._waiting.popleft() for _ in range(min(_GROUP, len(self._waiting)))])
                if self._topics and (not self._waiting or self._unasked >= _PATIENCE):
                    await self._rouse()
        finally:
            self._task = None

    async def _execute(self, jobs: Sequence[_Job]) -> None:
        """All jobs in one transaction; if one fails, each in its own, so that only the guilty one fails."""
        jobs = [job for job in jobs if not job.done.cancelled()]
        if not jobs:
            return
        try:
            answers = await self._persist(jobs)
        except _Failed as failed:
            if len(jobs) > 1 and not failed.broken:
                for job in jobs:
                    await self._execute((job,))
                return
            for job in jobs:
                job.fail(translated(failed.error, self._address.shown, unsent=failed.unsent))
            return
        self._counters.transactions += 1
        for job, answer in zip(jobs, answers, strict=True):
            error = next((each for each in answer if isinstance(each, Exception)), None)
            if error is None:
                job.end(answer)
            else:
                job.fail(translated(error, self._address.shown))

    async def _persist(self, jobs: Sequence[_Job]) -> list[list[Any]]:
        """Try again where that is safe and helps: after a deadlock, and on a connection that had broken unnoticed."""
        tries, parts = 0, whole([step for job in jobs for step in job.steps], self._address.schema)
        while True:
            stale = not self._link.fresh
            try:
                return await self._attempt(jobs, parts)
            except _Failed as failed:
                if parts is not None and code(failed.error) in REFUSED:
                    parts = None
                    continue
                tries += 1
                again = code(failed.error) in AGAIN or (failed.broken and stale and failed.unsent)
                if not again or tries >= _TRIES:
                    raise

    async def _attempt(self, jobs: Sequence[_Job], parts: Whole | None) -> list[list[Any]]:
        plain = len(jobs) == 1 and len(jobs[0].steps) == 1 and type(jobs[0].steps[0]) is Single
        committing = plain or parts is not None
        connection = None
        try:
            connection = await self._link.get()
            session = Session(connection, self._now())
            if parts is not None:
                return await self._at_once(jobs, parts, session)
            if plain:
                answers = [await self._steps(jobs[0], session)]
            else:
                await self._say(connection, "BEGIN")
                answers = [await self._steps(job, session) for job in jobs]
                committing = True
                await self._say(connection, "COMMIT")
        except asyncio.CancelledError:
            self._link.drop()
            for job in jobs:
                job.done.cancel()
            raise
        except Exception as error:  # steps may raise anything; it is told to those who asked
            broken = connection is None or isinstance(error, TimeoutError) or connection.is_closed()
            if not broken and not plain and parts is None:
                broken = not await self._undone(connection)
            if broken:
                self._link.drop()
            raise _Failed(error, unsent=not committing, broken=broken) from error
        self._topics.update(dict.fromkeys(_topics(jobs)))
        self._unasked += 1
        return answers

    async def _at_once(self, jobs: Sequence[_Job], parts: Whole, session: Session) -> list[list[Any]]:
        """One statement, which is a transaction by itself and wakes those who sleep."""
        given = parts.given(*self._wakes(_topics(jobs)))
        async with asyncio.timeout(self._address.timeout):
            woken, answers = await parts.answers(session, await session.rows(parts.text, *given))
        self._counters.wakes += woken
        each = iter(answers)
        return [[next(each) for _ in job.steps] for job in jobs]

    async def _steps(self, job: _Job, session: Session) -> list[Any]:
        async with asyncio.timeout(self._address.timeout):
            return await worked(job.steps, session)

    async def _say(self, connection: Any, word: str) -> None:
        await connection.execute(word, timeout=self._address.timeout)

    async def _undone(self, connection: Any) -> bool:
        try:
            await self._say(connection, "ROLLBACK")
        except Exception:  # then hanging up does it
            return False
        return True

    async def _rouse(self) -> None:
        """Wake those who sleep; should that fail, they look by themselves after a while."""
        topics, self._topics, self._unasked = self._topics, {}, 0
        try:
            connection = await self._link.get()
            channels, keys, _ = self._wakes(list(topics))
            found = await connection.fetch(_ROUSE, channels, keys, timeout=self._address.timeout)
            self._counters.wakes += len(found)
        except Exception:  # the next write tells what is wrong
            self._link.drop()


class Reader:
    """Reads on connections of their own, never in the way of writes."""

    def __init__(self, links: Links, now: Callable[[], float | None], counters: Counters) -> None:
        self._links = links
        self._now = now
        self._counters = counters
        self._room = asyncio.Semaphore(links.address.pool_size - 1)
        self._idle: list[Link] = []

    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        async with self._room:
            link = self._idle.pop() if self._idle else Link(self._links)
            try:
                return await self._read(link, steps)
            finally:
                self._idle.append(link)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _read(self, link: Link, steps: Sequence[Step[Any]]) -> list[Any]:
        while True:
            stale, connection = not link.fresh, None
            try:
                connection = await link.get()
                async with asyncio.timeout(self._links.address.timeout):
                    answers = await worked(steps, Session(connection, self._now()))
            except asyncio.CancelledError:
                link.drop()
                raise
            except Exception as error:  # steps may raise anything; it is told to the one who asked
                broken = connection is None or isinstance(error, TimeoutError) or connection.is_closed()
                if broken:
                    link.drop()
                if broken and stale and not isinstance(error, TimeoutError):
                    continue
                raise translated(error, self._links.address.shown, unsent=True) from error
            self._counters.reads += 1
            return answers


def _topics(jobs: Sequence[_Job]) -> list[str]:
    return list(dict.fromkeys(topic for job in jobs for step in job.steps for topic in step.wakes.split()))


async def worked(steps: Sequence[Step[Any]], session: Session) -> list[Any]:
    """The answers of steps, in order."""
    answers = []
    for step in steps:
        answer = step.work(session)
        answers.append(await answer if isawaitable(answer) else answer)
    return answers
