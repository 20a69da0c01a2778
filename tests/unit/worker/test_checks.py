"""The steps before a run."""

from __future__ import annotations

import json
import math
from random import Random

import pytest

from penstock.client.app import Penstock
from penstock.core.message import Delivery, Message
from penstock.core.record import Standing
from penstock.core.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS
from penstock.worker.checks import Checks
from penstock.worker.job import Job
from penstock.worker.outcome import Judge
from tests.unit.worker.parts import Clock, app_in_memory, delivery


class Checked:
    """Checks of an app with one task, and what they make of a delivery."""

    def __init__(self, **settings: object) -> None:
        self.clock = Clock()
        self.app: Penstock = app_in_memory(**settings)
        self.app.task(name="add", time_limit=60, soft_time_limit=50)(lambda x, y: x + y)
        self.decided = False
        self.checks = Checks(self.app, Judge("w@h", self.clock, Random(1)), self.clock)

    def goes_on(self) -> bool:
        """Whether the last delivery is to run."""
        return not self.decided

    def first(self, given: Delivery) -> Job:
        job = Job(given, None, 0.0)  # type: ignore[arg-type]
        self.decided = self.checks.readable(job)
        return job

    def second(self, standing: Standing | None, given: Delivery | None = None, revoked: str = "") -> Job:
        job = self.first(given or delivery("add", 1, 2))
        job.revoked = revoked
        self.decided = self.checks.runnable(job, standing)
        return job


def standing(
    state: str = PENDING, cancel: str = "", generation: int = 0, retries: int = 0, deliveries: int = 0
) -> Standing:
    return Standing(state, cancel, generation, retries, deliveries)


def error_of(job: Job) -> tuple[str, list[object]]:
    assert job.ending is not None
    assert job.ending.result is not None
    found = json.loads(job.ending.result)
    return found["exc_type"], found["exc_message"]


def test_a_message_of_a_known_task_goes_on() -> None:
    checked = Checked()
    job = checked.first(delivery("add", 1, 2))
    assert checked.goes_on()
    assert (job.request.args, job.task.name, job.hard, job.soft) == ([1, 2], "add", 60, 50)
    assert job.request.hostname == "w@h"


def test_the_messages_limits_win_over_the_tasks_own() -> None:
    checked = Checked()
    job = checked.first(delivery("add", 1, 2, time_limit=5.0, soft_time_limit=4.0))
    assert (job.hard, job.soft) == (5.0, 4.0)
    checked.app.task(name="free")(lambda: None)
    job = checked.first(delivery("free"))
    assert (job.hard, job.soft) == (math.inf, math.inf)


def test_what_cannot_be_decoded_is_a_dead_letter_and_its_task_failed() -> None:
    checked = Checked()
    given = delivery("add", 1, 2)
    given.message.properties["content_type"] = "application/x-python-serialize"
    job = checked.first(given)
    assert not checked.goes_on()
    assert job.letter is not None
    assert (job.letter.reason, job.letter.task_id, job.letter.task) == ("content-type", job.task_id, "add")
    assert job.letter.message is given.message
    assert job.ending is not None
    assert job.ending.state == FAILURE
    assert error_of(job)[0] == "BadMessage"


def test_a_raw_message_is_a_dead_letter_and_nothing_else() -> None:
    checked = Checked()
    job = checked.first(Delivery(Message(b"anything", {}, {"content_type": "application/json"}), 1))
    assert not checked.goes_on()
    assert job.letter is not None
    assert job.ending is None


def test_an_unknown_task_is_a_dead_letter_and_failed() -> None:
    checked = Checked()
    job = checked.first(delivery("nope"))
    assert not checked.goes_on()
    assert error_of(job) == ("NotRegistered", ["nope"])
    assert job.letter is not None
    assert job.letter.reason == "NotRegistered"


@pytest.mark.parametrize("field", ["callbacks", "errbacks", "chain", "chord"])
def test_a_workflow_is_refused_and_not_cut_off(field: str) -> None:
    checked = Checked()
    job = checked.first(delivery("add", 1, 2, embed={field: [{"task": "add"}]}))
    assert not checked.goes_on()
    assert job.letter is not None
    assert job.letter.reason == "unsupported"
    assert field in job.letter.detail


def test_empty_workflow_fields_mean_nothing() -> None:
    checked = Checked()
    checked.first(delivery("add", 1, 2, embed={"callbacks": [], "errbacks": None, "chain": None, "chord": None}))
    assert checked.goes_on()


@pytest.mark.parametrize("found", [None, standing(), standing(STARTED), standing(RETRY)])
def test_a_task_that_has_not_ended_may_run(found: Standing | None) -> None:
    checked = Checked()
    job = checked.second(found)
    assert checked.goes_on()
    assert job.deliveries == job.request.deliveries == 1


@pytest.mark.parametrize("state", [SUCCESS, FAILURE, REVOKED])
def test_a_task_that_has_ended_is_only_settled(state: str) -> None:
    checked = Checked()
    job = checked.second(standing(state))
    assert not checked.goes_on()
    assert (job.ending, job.letter, job.back) == (None, None, None)


def test_an_older_copy_of_the_message_is_only_settled() -> None:
    checked = Checked()
    assert checked.second(standing(PENDING, generation=1)).ending is None
    assert not checked.goes_on()
    assert checked.second(standing(RETRY, retries=1)).ending is None
    assert not checked.goes_on()


def test_the_next_attempt_and_the_next_generation_run() -> None:
    checked = Checked()
    checked.second(standing(RETRY, retries=1), delivery("add", 1, 2, retries=1))
    assert checked.goes_on()
    given = delivery("add", 1, 2)
    given.message.headers["penstock_generation"] = 1
    checked.second(standing(PENDING, generation=1), given)
    assert checked.goes_on()


def test_a_cancelled_task_is_revoked() -> None:
    checked = Checked()
    job = checked.second(standing(cancel="revoked"))
    assert not checked.goes_on()
    assert error_of(job) == ("TaskRevokedError", ["revoked"])
    assert job.ending is not None
    assert job.ending.state == REVOKED


def test_so_is_one_whose_cancellation_came_here_by_letter() -> None:
    checked = Checked()
    job = checked.second(None, revoked="revoked")
    assert not checked.goes_on()
    assert error_of(job) == ("TaskRevokedError", ["revoked"])


def test_an_expired_task_is_revoked_at_the_second_it_expires() -> None:
    checked = Checked()
    given = delivery("add", 1, 2, expires=checked.clock.now + 1)
    checked.second(None, given)
    assert checked.goes_on()
    checked.clock.advance(1)
    job = checked.second(None, given)
    assert not checked.goes_on()
    assert error_of(job) == ("TaskRevokedError", ["expired"])


def test_a_task_whose_process_died_too_often_is_poison() -> None:
    checked = Checked(max_deliveries=3)
    job = checked.second(standing(deliveries=2))
    assert checked.goes_on()
    assert job.deliveries == 3
    job = checked.second(standing(deliveries=3))
    assert not checked.goes_on()
    assert error_of(job)[0] == "WorkerLostError"
    assert job.letter is not None
    assert (job.letter.reason, job.letter.deliveries) == ("WorkerLostError", 3)
