"""How a run ended, and what follows from it."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from penstock.core.errors import Ignore, Reject, Retry
from penstock.core.protocol import decode_task, encode_body
from penstock.core.states import FAILURE, RETRY, SUCCESS
from penstock.worker.checks import Checks
from penstock.worker.job import Job
from penstock.worker.outcome import REJECT_PAUSE, Judge
from tests.unit.worker.parts import Clock, app_in_memory, delivery


class Court:
    """A judge, and jobs of one task that have run."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.app = app_in_memory()
        self.app.task(name="work", **options)(lambda: None)
        self.judge = Judge("w@h", self.clock, Random(7))
        self.checks = Checks(self.app, self.judge, self.clock)

    def outcome(self, error: BaseException | None = None, value: bytes | None = None, retries: int = 0) -> Job:
        job = Job(delivery("work", retries=retries), None, 0.0)  # type: ignore[arg-type]
        assert not self.checks.readable(job)
        job.error, job.value, job.traceback, job.started_at = error, value, "Traceback …", self.clock.now - 1
        self.judge.outcome(job)
        return job


def failure(job: Job) -> tuple[str, list[Any]]:
    assert job.ending is not None
    assert job.ending.result is not None
    found = json.loads(job.ending.result)
    return found["exc_type"], found["exc_message"]


def test_a_value_is_success() -> None:
    job = Court().outcome(value=b"5")
    assert job.ending is not None
    assert (job.ending.state, job.ending.result, job.ending.traceback) == (SUCCESS, b"5", None)
    assert (job.again, job.letter, job.back) == (None, None, None)


def test_an_exception_is_failure() -> None:
    job = Court().outcome(ValueError("boom", 42))
    assert job.ending is not None
    assert (job.ending.state, job.ending.traceback) == (FAILURE, "Traceback …")
    assert failure(job) == ("ValueError", ["boom", 42])


def test_an_exception_within_max_retries_is_tried_again_later() -> None:
    court = Court(max_retries=2, retry_jitter=False)
    job = court.outcome(ValueError("boom"), retries=1)
    assert job.again is not None
    assert job.ending is not None
    assert (job.ending.state, job.ending.retries, job.ending.eta) == (RETRY, 1, court.clock.now + 2.0)
    assert decode_task(job.again).retries == 2
    assert (job.again.due, job.again.task_id) == (court.clock.now + 2.0, job.task_id)
    attempt = job.ending.attempt
    assert attempt is not None
    assert (attempt.number, attempt.state, attempt.traceback) == (2, RETRY, "Traceback …")
    assert attempt.error == {"exc_type": "ValueError", "exc_message": ["boom"], "exc_module": "builtins"}


def test_an_exception_beyond_max_retries_is_failure() -> None:
    job = Court(max_retries=2).outcome(ValueError("boom"), retries=2)
    assert job.again is None
    assert failure(job) == ("ValueError", ["boom"])


def test_an_exception_that_is_not_to_be_retried_is_failure() -> None:
    assert Court(max_retries=2, dont_autoretry_for=(KeyError,)).outcome(KeyError("x")).again is None
    assert Court(max_retries=2, autoretry_for=(KeyError,)).outcome(ValueError("x")).again is None


def test_self_retry_says_when_and_with_what() -> None:
    court = Court(max_retries=5)
    job = court.outcome(Retry(delay=7.0, cause=ValueError("told"), body=encode_body([9], {})))
    assert job.again is not None
    assert job.again.due == court.clock.now + 7.0
    assert decode_task(job.again).args == [9]
    assert failure(job) == ("ValueError", ["told"])


@pytest.mark.parametrize(("cause", "kind"), [(ValueError("told"), "ValueError"), (None, "MaxRetriesExceededError")])
def test_self_retry_too_often_fails_with_its_cause(cause: Exception | None, kind: str) -> None:
    job = Court(max_retries=1).outcome(Retry(cause=cause), retries=1)
    assert job.again is None
    assert failure(job)[0] == kind


def test_ignore_is_success_without_a_value() -> None:
    job = Court().outcome(Ignore())
    assert job.ending is not None
    assert (job.ending.state, job.ending.result) == (SUCCESS, None)


def test_reject_is_a_dead_letter() -> None:
    job = Court(max_retries=3).outcome(Reject("bad parcel"))
    assert job.letter is not None
    assert (job.letter.reason, job.letter.detail) == ("rejected", "bad parcel")
    assert failure(job) == ("Reject", ["bad parcel"])


def test_reject_with_requeue_goes_back_after_a_pause_and_ends_nothing() -> None:
    job = Court().outcome(Reject("later", requeue=True))
    assert (job.ending, job.letter, job.back) == (None, None, REJECT_PAUSE)


def test_exits_are_failures_of_the_task() -> None:
    assert failure(Court(max_retries=3).outcome(SystemExit(2))) == ("SystemExit", [2])
