"""The steps before a run."""

from __future__ import annotations

import json
import math
from random import Random

import pytest

from penstock.client.app import Penstock
from penstock.core.message import Delivery, Message, Standing
from penstock.core.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS
from penstock.testing.conformance.results.samples import record, worker
from penstock.worker.checks import Checks
from penstock.worker.job import Job
from penstock.worker.outcome import Judge
from penstock.worker.session import Session
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


@pytest.mark.parametrize(("left", "pause"), [(7.5, 7.5), (0.2, 1.0), (-3.0, 1.0)])
def test_a_copy_of_a_task_that_runs_under_a_lease_that_is_alive_is_looked_at_later(left: float, pause: float) -> None:
    checked = Checked()
    job = checked.second(Standing(STARTED, "", 0, 0, 1, held=left))
    assert not checked.goes_on()
    assert (job.ending, job.letter, job.back) == (None, None, pause)


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


def test_a_task_whose_time_has_not_come_goes_back_until_then() -> None:
    checked = Checked()
    given = delivery("add", 1, 2, eta=checked.clock.now + 60)
    job = checked.second(None, given)
    assert not checked.goes_on()
    assert (job.back, job.ending, job.letter) == (60, None, None)
    checked.clock.advance(60)
    checked.second(None, given)
    assert checked.goes_on()


def test_a_cancelled_or_expired_one_does_not_wait_for_its_time() -> None:
    checked = Checked()
    given = delivery("add", 1, 2, eta=checked.clock.now + 60, expires=checked.clock.now - 1)
    assert error_of(checked.second(None, given)) == ("TaskRevokedError", ["expired"])
    given = delivery("add", 1, 2, eta=checked.clock.now + 60)
    assert error_of(checked.second(standing(cancel="revoked"), given)) == ("TaskRevokedError", ["revoked"])


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


# ----------------------------------------------------------------------------------- messages that a server took back


class TakenBack:
    """A message of the task "t" that came again, and a worker that reports what it runs."""

    def __init__(self, *, redelivered: bool = True, lasting: bool = False) -> None:
        self.checked = Checked()
        self.backends = self.checked.app.backends()
        self.checks = Checks(self.checked.app, self.checked.checks.judge, self.checked.clock, self.backends.results)
        given = delivery("add", 1, 2, task_id="t")
        consumer = self.backends.broker.consume(["default"], "mine")
        consumer.lasting = lasting
        self.job = Job(Delivery(given.message, given.tag, redelivered), Session("mine", consumer), 0.0)
        self.checks.readable(self.job)

    async def reported(self, task_id: str, lease: str = "theirs", *, alive: bool = True) -> None:
        results = self.backends.results
        await results.workers.register(worker("w"), 60.0)
        running = [{"task_id": task_id, "task": "add", "started_at": 1.0, "deliveries": 1}]
        await results.workers.report("w", {"children": [{"pid": 1, "lease": lease, "running": running}]}, 60.0)
        if alive:
            await results.leases.open(lease, "w", 60.0)


async def test_a_message_that_was_taken_back_while_its_task_runs_on_is_asked_about_later() -> None:
    back = TakenBack()
    await back.reported("t")
    assert await back.checks.seen([back.job]) == {"t"}
    assert back.checks.runnable(back.job, standing(), {"t"})
    assert (back.job.back, back.job.ending) == (3.0, None)


async def test_one_whose_task_has_ended_meanwhile_is_settled() -> None:
    back = TakenBack()
    assert back.checks.runnable(back.job, standing(SUCCESS), {"t"})
    assert (back.job.back, back.job.ending) == (None, None)


@pytest.mark.parametrize(
    ("reported", "alive", "given"),
    [
        pytest.param(("other", "theirs"), True, {}, id="nobody runs it"),
        pytest.param(("t", "theirs"), False, {}, id="its lease is dead"),
        pytest.param(("t", "mine"), True, {}, id="an old report of this very child"),
        pytest.param(("t", "theirs"), True, {"redelivered": False}, id="it came for the first time"),
        pytest.param(("t", "theirs"), True, {"lasting": True}, id="claims end with their leases here"),
    ],
)
async def test_it_runs_where_that_is_not_so(reported: tuple[str, str], alive: bool, given: dict[str, bool]) -> None:
    back = TakenBack(**given)
    await back.reported(*reported, alive=alive)
    assert await back.checks.seen([back.job]) == set()
    assert not back.checks.runnable(back.job, standing(), set())


@pytest.mark.parametrize(
    ("lasting", "found", "confirmed"),
    [
        pytest.param(False, standing(REVOKED), True, id="its message turns up"),
        pytest.param(False, standing(REVOKED, generation=1), False, id="an older message turns up"),
        pytest.param(False, standing(PENDING, cancel="revoked"), False, id="its end is still to be recorded"),
        pytest.param(True, standing(REVOKED), False, id="messages can be found here"),
    ],
)
async def test_the_message_of_a_revoked_task_is_noted_when_it_turns_up(
    lasting: bool, found: Standing, confirmed: bool
) -> None:
    back = TakenBack(lasting=lasting)
    records = back.backends.results.records
    await records.create([record(task_id="t", confirmed=False)])
    await back.checks.met([back.job], {"t": found})
    assert (await records.get(["t"]))["t"].confirmed is confirmed
