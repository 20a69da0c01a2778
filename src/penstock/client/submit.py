"""Submitting: first the record, then the message; in one commit where they share a server (DESIGN §6.1)."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Sequence

import msgspec

from penstock.client.backends import Backends
from penstock.core.errors import SubmitError, TaskIdTaken, Unavailable
from penstock.core.ids import new_id
from penstock.core.message import Message
from penstock.core.record import Record
from penstock.core.step import commit

_MOST = 100  # submissions in one commit, save where one call brings more
_LARGEST = 4 * 1024 * 1024  # bytes of bodies in one commit, save where one call brings more


class Submission(msgspec.Struct, gc=False):
    """A task, validated and encoded; nothing sent yet. No more than its record is it part of a cycle."""

    record: Record
    message: Message


class Submitter:
    """Sends submissions. Calls that arrive while a commit is in flight go together into the next one."""

    def __init__(self, backends: Backends) -> None:
        self.backends = backends
        self.name = new_id()  #: begins what stands in records whose publish is not confirmed yet
        self._numbers = itertools.count()
        self._waiting: deque[_Job] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._unconfirmed: deque[str] = deque()  # published, but their records do not say so yet

    async def submit(self, submissions: Sequence[Submission]) -> None:
        """Send submissions, all or none where broker and results share a server. Returns when they are durable.

        Raises TaskIdTaken (then nothing of this call is queued), MessageTooLarge, Unavailable, StorageError.
        """
        if not submissions:
            return
        if self.backends.blocking:  # may be stepped on any thread; the driver gathers what threads bring
            await self._write(submissions)
            return
        loop = asyncio.get_running_loop()
        job = _Job(submissions, loop.create_future())
        self._waiting.append(job)
        if self._drain is None:
            self._drain = loop.create_task(self._send(), name="penstock-submit")
        await job.done

    async def close(self) -> None:
        """Wait for what is in flight, and confirm what was published."""
        if self._drain is not None:
            await self._drain
        await self._confirm()

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._settle(self._gather())
                if not self._waiting:
                    await self._confirm()
        finally:
            self._drain = None

    def _gather(self) -> list[_Job]:
        jobs: list[_Job] = []
        count = size = 0
        while self._waiting:
            count += len(self._waiting[0].submissions)
            size += self._waiting[0].size
            if jobs and (count > _MOST or size > _LARGEST):
                break
            jobs.append(self._waiting.popleft())
        return jobs

    async def _settle(self, jobs: list[_Job]) -> None:
        """Send several calls' submissions together; only the guilty call fails."""
        jobs = [job for job in jobs if not job.done.cancelled()]
        while jobs:
            error = await self._try(jobs)
            if isinstance(error, TaskIdTaken):
                guilty = next((job for job in reversed(jobs) if job.holds(error.task_id)), jobs[0])
                guilty.end(error)
                jobs.remove(guilty)
                continue
            if isinstance(error, SubmitError) and len(jobs) > 1:  # it does not say whose fault it is
                await self._each(jobs)
            else:
                self._end(jobs, error)
            return

    async def _each(self, jobs: Sequence[_Job]) -> None:
        for job in jobs:
            self._end([job], await self._try([job]))

    @staticmethod
    def _end(jobs: Sequence[_Job], error: Exception | None) -> None:
        for job in jobs:
            job.end(error)

    async def _try(self, jobs: Sequence[_Job]) -> Exception | None:
        try:
            await self._write([submission for job in jobs for submission in job.submissions])
        except Exception as error:  # whatever it is, those who wait must hear of it
            return error
        except BaseException:  # cancelled, and so are those who wait
            for job in jobs:
                job.done.cancel()
            raise
        return None

    async def _write(self, submissions: Sequence[Submission]) -> None:
        records = [submission.record for submission in submissions]
        messages = [submission.message for submission in submissions]
        broker, results = self.backends.broker, self.backends.results
        if self.backends.shared:
            await commit(results.records.create(records), broker.publish(messages))
            return
        for record in records:
            record.confirmed = False
            # Tried again, a submission keeps its mark; another one of the same id and moment has another.
            record.submitter = record.submitter or f"{self.name}-{next(self._numbers)}"
        await self._create(records)
        await self._publish(messages)
        self._unconfirmed.extend(record.task_id for record in records)

    async def _create(self, records: Sequence[Record]) -> None:
        """Write records, and in the same breath the confirmation of those before them."""
        owed = self._owed()
        kept = self.backends.results.records
        confirm = [kept.confirm(owed)] if owed else []
        try:
            await commit(*confirm, kept.create(records))
        except BaseException:  # whatever it is, they are still owed
            self._unconfirmed.extend(owed)
            raise

    async def _publish(self, messages: Sequence[Message]) -> None:
        try:
            await self.backends.broker.publish(messages)
        except (SubmitError, Unavailable) as error:
            if isinstance(error, SubmitError) or error.unsent:
                # If this fails too, the records stay unconfirmed and a sweep publishes them: late, but not lost.
                with contextlib.suppress(Unavailable):
                    await self.backends.results.records.discard([message.task_id for message in messages])
            raise

    async def _confirm(self) -> None:
        owed = self._owed()
        if not owed:
            return
        try:
            await self.backends.results.records.confirm(owed)
        except Unavailable:
            self._unconfirmed.extend(owed)  # goes with the next batch; a sweep's second publish would be harmless

    def _owed(self) -> list[str]:
        owed = []
        with contextlib.suppress(IndexError):  # another thread may take the last one
            while self._unconfirmed:
                owed.append(self._unconfirmed.popleft())
        return owed


class _Job:
    """One call of `submit`, and the future that its caller awaits."""

    __slots__ = ("done", "size", "submissions")

    def __init__(self, submissions: Sequence[Submission], done: asyncio.Future[None]) -> None:
        self.submissions = submissions
        self.done = done
        self.size = sum(len(submission.message.body) for submission in submissions)

    def holds(self, task_id: str) -> bool:
        return any(submission.record.task_id == task_id for submission in self.submissions)

    def end(self, error: Exception | None) -> None:
        if self.done.done():  # its caller went away
            return
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
