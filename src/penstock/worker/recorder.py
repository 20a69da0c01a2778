"""Record, then settle: the last two steps of every delivery, batched by back-pressure.

While one batch is being written the next one gathers. Where broker and result backend share a server a batch is one
transaction; where they do not, it is written in stages, each repeated until it is through: the next attempts are
published, endings recorded, messages settled. In this order nothing is lost; at worst something is delivered again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from penstock.client.backends import Backends
from penstock.core.answers import reply
from penstock.core.encoding import dumps
from penstock.core.errors import EncodingError, LeaseLost
from penstock.core.message import Message
from penstock.core.step import Step, commit
from penstock.worker.job import Job
from penstock.worker.outcome import Judge
from penstock.worker.patience import Patience
from penstock.worker.scribe import Scribe
from penstock.worker.session import Session

log = logging.getLogger("penstock.worker.recorder")

BATCH = 100  #: endings of one write
BATCH_BYTES = 4 * 1024 * 1024  #: of results in one write; a larger one is a batch of its own


LAST_RESORT = 60.0  #: seconds after which a message is delivered again whose outcome the back end refused in any form


class Recorder:
    """Writes what was decided about jobs. `settled` is told which are done with, `lost` whose lease is dead.

    `writing` is told when a write is about to begin: what is asked of the server now goes into the same transaction.
    """

    def __init__(
        self,
        backends: Backends,
        judge: Judge,
        scribe: Scribe,
        *,
        settled: Callable[[Sequence[Job]], None],
        lost: Callable[[Session], None],
        writing: Callable[[], None] = lambda: None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.backends = backends
        self.judge = judge
        self.scribe = scribe
        self.settled = settled
        self.lost = lost
        self.writing = writing
        self.patience = Patience("recording", log, sleep)
        self._queue: deque[Job] = deque()
        self._some = asyncio.Event()
        self._none = asyncio.Event()
        self._none.set()

    def add(self, jobs: Sequence[Job]) -> None:
        """These are decided: write it down."""
        if jobs:
            self._queue.extend(jobs)
            self._some.set()
            self._none.clear()

    @property
    def waiting(self) -> bool:
        """Something is decided that is in no write yet: there will be one, at once or after the one that goes on."""
        return bool(self._queue)

    async def empty(self) -> None:
        """Wait until everything added so far is written."""
        await self._none.wait()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._queue:
                self.writing()
                await asyncio.sleep(0)  # lets the fetch loop ask first
                batch = self._batch()
                await self._write(batch)
                self.settled(batch)
            self._none.set()

    def _batch(self) -> list[Job]:
        """The next jobs, all of one session."""
        queue, batch, size = self._queue, [self._queue.popleft()], 0
        session = batch[0].session
        while queue and len(batch) < BATCH and queue[0].session is session:
            ending = queue[0].ending
            size += len(ending.result or b"") if ending else 0
            if size > BATCH_BYTES:
                break
            batch.append(queue.popleft())
        return batch

    async def _write(self, batch: list[Job]) -> None:
        session = batch[0].session
        if not session.alive:
            return
        try:
            for stage in self._stages(batch, session):
                await self.patience.run(partial(commit, *stage))
        except LeaseLost:
            self.lost(session)
        except Exception as error:  # a value that the back end cannot take must not hold up all the others
            await self._isolate(batch, error)

    def _stages(self, batch: Sequence[Job], session: Session) -> list[list[Step[Any]]]:
        records, broker, consumer = self.backends.results.records, self.backends.broker, session.consumer
        again = [job.again for job in batch if job.again]
        letters = [job.letter for job in batch if job.letter]
        endings = [job.ending for job in batch if job.ending]
        publish: list[Step[Any]] = [broker.publish(again)] if again else []
        if again and not endings:  # raw messages: what others have by now must not be published once more
            publish.insert(0, records.finish([], session.lease))
        record: list[Step[Any]] = [self.backends.results.dead.add(letters)] if letters else []
        if endings:
            record.append(records.finish(endings, session.lease))
        back = [(job, job.back) for job in batch if job.back is not None]
        if begun := {job.task_id: job.deliveries - 1 for job, _ in back if job.marked}:
            record.append(records.put_back(begun, session.lease))  # else it would seem to run on, under this lease
        if endings and (said := self.scribe.taken([job.task_id for job in batch])):
            record.append(self.backends.results.logs.add(said, self.scribe.keep, tell=False))
        settle: list[Step[Any]] = [
            broker.publish([replace(job.delivery.message, due=self.clock() + delay)])
            if job.parked
            else consumer.hand_back([job.delivery], delay)
            for job, delay in back
        ]
        if done := [job.delivery for job in batch if job.back is None and not job.settled]:
            settle.append(consumer.settle(done))
        asked = [answer for ends in endings if (answer := reply(ends)) is not None]
        replying = broker.reply(asked) if asked else None
        stages = [publish, record, [] if replying is None else [replying], settle]
        if self.backends.shared:
            return [[step for stage in stages for step in stage]]
        return [stage for stage in stages if stage]

    async def _isolate(self, batch: list[Job], error: Exception) -> None:
        """Write the jobs one by one. The guilty one becomes a failure and a dead letter.

        Where that is refused, too, a stranger's message whose headers nobody can store is kept without them; any other
        one goes back.
        """
        if len(batch) > 1:
            for job in batch:
                await self._write([job])
            return
        [job] = batch
        log.error("the outcome cannot be recorded: %r", error, extra=job.where)
        if job.letter is None:
            job.again = job.back = None
            self.judge.bury(job, "unrecordable", error)
            await self._write(batch)
        elif job.letter.message is job.delivery.message and not _storable(job.delivery.message):
            self.judge.strip(job)
            await self._write(batch)
        else:
            job.ending = job.letter = None
            job.back, job.marked = LAST_RESORT, False
            await self._write(batch)


def _storable(message: Message) -> bool:
    try:
        dumps([message.headers, message.properties])
    except EncodingError:
        return False
    return True
