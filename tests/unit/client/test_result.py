"""AsyncResult: the handle of a task."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.result import AsyncResult
from penstock.core.errors import NotFound, RemoteError, ResultTimeout, TaskRevokedError

Work = Callable[[Penstock], list[str]]


@pytest.fixture
def tasks(app: Penstock) -> Penstock:
    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    @app.task
    def fail(text: str) -> None:
        raise ValueError(text, 42)

    @app.task
    def odd() -> None:
        class Hidden(Exception):
            pass

        raise Hidden("x")

    return app


def test_get_returns_what_the_task_returned(tasks: Penstock, work: Work) -> None:
    outcome = tasks.tasks["add"].delay(2, 3)
    assert (outcome.status, outcome.ready(), outcome.result) == ("PENDING", False, None)
    work(tasks)
    assert outcome.get(timeout=0) == 5
    assert (outcome.status, outcome.state, outcome.ready()) == ("SUCCESS", "SUCCESS", True)
    assert (outcome.successful(), outcome.failed(), outcome.result) == (True, False, 5)
    assert (outcome.traceback, outcome.children) == (None, [])
    assert outcome.date_done == datetime.fromtimestamp(tasks.clock(), UTC)


async def test_the_a_twins_answer_the_same(tasks: Penstock, awork: Any) -> None:
    outcome = await tasks.tasks["add"].adelay(2, 3)
    assert not await outcome.aready()
    await tasks.portal.acall(lambda submitter: awork(tasks, submitter.backends))
    assert await outcome.aget(timeout=0) == await outcome.aresult() == 5
    assert (await outcome.astatus(), await outcome.astate()) == ("SUCCESS", "SUCCESS")
    assert (await outcome.asuccessful(), await outcome.afailed(), await outcome.aready()) == (True, False, True)
    assert (await outcome.atraceback(), await outcome.achildren(), await outcome.aprogress()) == (None, [], None)
    assert await outcome.adate_done() == datetime.fromtimestamp(tasks.clock(), UTC)
    await outcome.aforget()
    assert await outcome.astatus() == "PENDING"
    with pytest.raises(NotFound):
        await outcome.arevoke()


def test_every_call_that_asks_the_server_has_a_twin() -> None:
    public = {name for name, _ in inspect.getmembers(AsyncResult) if not name.startswith("_")}
    local = {"id", "task_id", "app"}
    asking = {name for name in public - local if f"a{name}" in public or name[1:] not in public}
    assert {f"a{name}" for name in asking} == public - asking - local


class Colour(Enum):
    RED = "red"


@dataclass
class Order:
    number: int
    placed: datetime
    price: Decimal
    colour: Colour


def test_a_result_comes_as_the_type_of_the_return_hint(app: Penstock, work: Work) -> None:
    order = Order(7, datetime(2030, 1, 1, tzinfo=UTC), Decimal("1.50"), Colour.RED)

    @app.task
    def place() -> list[Order]:
        return [order]

    @app.task
    def lie() -> Order:
        return "no order"  # type: ignore[return-value]  # hints are not enforced on the way out

    outcome, other = place.delay(), lie.delay()
    work(app)
    assert outcome.get(timeout=0) == outcome.result == [order]
    assert str(other.get(timeout=0)) == "no order"


def test_get_raises_the_tasks_own_exception_with_the_workers_traceback(tasks: Penstock, work: Work) -> None:
    outcome = tasks.tasks["fail"].delay("boom")
    work(tasks)
    with pytest.raises(ValueError, match="boom") as caught:
        outcome.get(timeout=0)
    assert caught.value.args == ("boom", 42)
    assert caught.value.__notes__ == ["in the worker w@here:\nTraceback (most recent call last):\n  in the task"]
    assert (outcome.failed(), outcome.successful()) == (True, False)
    assert "in the task" in (outcome.traceback or "")
    assert isinstance(outcome.result, ValueError)


def test_an_exception_may_be_returned_instead(tasks: Penstock, work: Work) -> None:
    outcome = tasks.tasks["fail"].delay("boom")
    work(tasks)
    assert isinstance(outcome.get(timeout=0, propagate=False), ValueError)


def test_a_class_that_is_not_importable_is_stood_in_for(tasks: Penstock, work: Work) -> None:
    outcome = tasks.tasks["odd"].delay()
    work(tasks)
    with pytest.raises(RemoteError, match="Hidden: x"):
        outcome.get(timeout=0)


def test_a_result_that_does_not_come_in_time_is_a_timeout(tasks: Penstock) -> None:
    with pytest.raises(ResultTimeout) as caught:
        tasks.tasks["add"].delay(1, 2).get(timeout=0)
    assert isinstance(caught.value, TimeoutError)


def test_an_unknown_id_is_pending_as_in_celery(tasks: Penstock) -> None:
    unknown = tasks.AsyncResult("nobody")
    assert (unknown.status, unknown.ready(), unknown.result, unknown.children) == ("PENDING", False, None, [])
    with pytest.raises(ResultTimeout):
        unknown.get(timeout=0)


def test_get_is_woken_by_the_ending(tasks: Penstock, work: Work) -> None:
    outcome = tasks.tasks["add"].delay(2, 3)
    worker = threading.Thread(target=work, args=(tasks,))
    worker.start()
    assert outcome.get(timeout=60) == 5
    worker.join()


def test_forget_deletes_an_ended_task_and_nothing_else(tasks: Penstock, work: Work) -> None:
    outcome = tasks.tasks["add"].delay(2, 3)
    outcome.forget()
    work(tasks)
    assert outcome.status == "SUCCESS"
    outcome.forget()
    assert outcome.status == "PENDING"


def test_a_revoked_task_never_runs_and_says_so(tasks: Penstock) -> None:
    outcome = tasks.tasks["add"].apply_async((2, 3), countdown=60)
    outcome.revoke()
    with pytest.raises(TaskRevokedError, match="revoked"):
        outcome.get(timeout=0)
    assert outcome.status == "REVOKED"


def test_revoking_what_has_ended_does_nothing(tasks: Penstock, work: Work) -> None:
    outcome = tasks.tasks["add"].delay(2, 3)
    work(tasks)
    outcome.revoke()
    assert outcome.get(timeout=0) == 5


def test_revoking_an_unknown_task_says_so(tasks: Penstock) -> None:
    with pytest.raises(NotFound):
        tasks.AsyncResult("nobody").revoke()


def test_handles_of_one_task_are_equal(tasks: Penstock) -> None:
    one, two = tasks.AsyncResult("x"), AsyncResult[int]("x", app=tasks)
    assert (one, hash(one), str(one), one.task_id) == (two, hash(two), "x", "x")
    assert one != tasks.AsyncResult("y")
    assert repr(one) == "<AsyncResult: x>"
