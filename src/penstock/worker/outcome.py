"""Deciding: how a run ended, and what follows from it. Pure: values in, values out; time and chance are injected.

A decision is written into the job: its ending (the record), and one of: nothing more (the message is settled), `again`
(the next attempt is published), `letter` (it is kept among the dead), `back` (the message returns to its queue).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from penstock.core.errors import (
    Ignore,
    MaxRetriesExceededError,
    Reject,
    Retry,
    WorkerLostError,
)
from penstock.core.failure import encode_failure, failure_of
from penstock.core.ids import new_id
from penstock.core.lifecycle import revocation
from penstock.core.message import Message
from penstock.core.preview import preview
from penstock.core.protocol import retry_of
from penstock.core.record import Attempt, DeadLetter, Ending
from penstock.core.states import FAILURE, RETRY, REVOKED, SUCCESS
from penstock.worker.job import Job

REJECT_PAUSE = 1.0  #: seconds before a rejected message is delivered again, so that it does not go round in a hot loop


class Judge:
    """Decides for one worker process."""

    def __init__(self, worker: str, clock: Callable[[], float], rng: Random) -> None:
        self.worker = worker
        self.clock = clock
        self.rng = rng
        self.pid = os.getpid()

    def outcome(self, job: Job) -> None:
        """Decide on a run whose code has come back."""
        error = job.error
        if error is None or isinstance(error, Ignore):  # `Ignore` leaves no value; a record has to end all the same
            self.end(job, SUCCESS, job.value)
        elif isinstance(error, Reject):
            self._rejected(job, error)
        elif job.task.options.retry.allows(error, job.request.retries):
            self._again(job, error)
        else:
            self.fail(job, _given_up(error), job.traceback)

    def fail(self, job: Job, error: BaseException, traceback: str | None = None) -> None:
        self.end(job, FAILURE, encode_failure(error), traceback)

    def revoke(self, job: Job, reason: str) -> None:
        """`reason`: "revoked", "expired" or "terminated"."""
        self.end(job, REVOKED, revocation(reason))

    def bury(self, job: Job, reason: str, error: BaseException) -> None:
        """Keep the message as a dead letter; end the task if the message says which it is."""
        message = job.delivery.message
        task = message.headers.get("task")
        job.letter = DeadLetter(
            id=new_id(),
            queue=message.queue,
            reason=reason,
            detail=str(error).encode("utf-8", "backslashreplace").decode(),  # a name may hold what cannot be stored
            message=message,
            died_at=self.clock(),
            task_id=job.task_id,
            task=task if isinstance(task, str) else "",
            deliveries=job.deliveries - 1,
        )
        if job.task_id:
            self.fail(job, error)

    def strip(self, job: Job) -> None:
        """Its letter was refused as it is: keep the body, and of all else what it looks like."""
        letter, message = job.letter, job.delivery.message
        assert letter is not None
        told = {"headers": preview(message.headers), "properties": preview(message.properties)}
        job.letter = replace(letter, message=Message(message.body, told, {}, message.queue), task_id="", task="")
        job.ending = None

    def poison(self, job: Job) -> None:
        """Its process died under it as often as is allowed."""
        runs = job.deliveries - 1
        self.bury(job, "WorkerLostError", WorkerLostError(f"the process that ran the task died, {runs} times"))

    def end(self, job: Job, state: str, result: bytes | None, traceback: str | None = None, **more: Any) -> None:
        job.ending = Ending(
            delivery=job.delivery,
            state=state,
            finished_at=self.clock(),
            worker=self.worker,
            pid=self.pid,
            started_at=job.started_at,
            result=result,
            traceback=traceback,
            children=job.children,
            **more,
        )

    def _again(self, job: Job, error: BaseException) -> None:
        request = job.request
        delay, body, told = None, None, error
        if isinstance(error, Retry):
            delay, body, told = error.delay, error.body, error.cause or error
        now = self.clock()
        due = now + (job.task.options.retry.delay(request.retries, self.rng) if delay is None else delay)
        job.again = retry_of(job.delivery.message, retries=request.retries + 1, due=due, body=body)
        attempt = Attempt(
            number=request.retries + 1,
            state=RETRY,
            worker=self.worker,
            pid=self.pid,
            started_at=job.started_at,
            finished_at=now,
            error=failure_of(told),
            traceback=job.traceback,
        )
        self.end(job, RETRY, encode_failure(told), job.traceback, eta=due, retries=request.retries, attempt=attempt)

    def _rejected(self, job: Job, error: Reject) -> None:
        if error.requeue:
            job.back = REJECT_PAUSE
        else:
            self.bury(job, "rejected", error)


def _given_up(error: BaseException) -> BaseException:
    """What a task failed with that wanted yet another retry: its own exception if it gave one."""
    if not isinstance(error, Retry):
        return error
    return error.cause or MaxRetriesExceededError("the task asked for more retries than it may have")
