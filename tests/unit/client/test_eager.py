"""Eager mode: tasks run where they are submitted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.task import Task
from penstock.core.errors import Ignore, InvalidArguments, NotRegistered, TaskIdTaken


@pytest.fixture
def eager(make: Callable[..., Penstock]) -> Penstock:
    return make(eager=True)


def test_a_task_runs_at_once_in_its_caller_and_its_result_is_kept(eager: Penstock) -> None:
    where: list[int] = []

    @eager.task
    def add(x: int, y: int) -> int:
        where.append(threading.get_ident())
        return x + y

    result = add.delay(2, 3)
    assert where == [threading.get_ident()]
    assert (result.get(), result.status, result.ready()) == (5, "SUCCESS", True)
    assert eager.AsyncResult(result.id).get() == 5
    assert add.apply_async((1, 1), countdown=3600, queue="slow").get() == 2


def test_arguments_travel_and_are_checked_as_ever(eager: Penstock) -> None:
    @eager.task
    def takes(pair: tuple[int, int]) -> str:
        return repr(pair)

    assert takes.delay((1, 2)).get() == "(1, 2)"
    with pytest.raises(InvalidArguments):
        takes.delay("no")  # type: ignore[arg-type]


def test_a_failure_is_kept_and_raised_by_get(eager: Penstock) -> None:
    @eager.task
    def fail() -> None:
        raise ValueError("no")

    result = fail.delay()
    assert (result.status, str(result.get(propagate=False))) == ("FAILURE", "no")
    assert "in fail" in (result.traceback or "")
    with pytest.raises(ValueError, match="no"):
        result.get()


def test_a_failure_is_raised_at_once_if_asked_for(make: Callable[..., Penstock]) -> None:
    app = make(eager=True, eager_propagates=True)

    @app.task
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail.apply_async(task_id="7")
    assert app.AsyncResult("7").failed()


def test_retries_follow_at_once_as_many_as_the_task_allows(eager: Penstock) -> None:
    seen: list[tuple[int, int]] = []

    @eager.task(bind=True, max_retries=3)
    def flaky(self: Task, enough: int, given: int = 0) -> int:
        seen.append((self.request.retries, given))
        if len(seen) == 2:
            raise self.retry(args=(enough, 9), countdown=600)
        if self.request.retries < enough:
            raise ValueError("not yet")
        return self.request.retries

    assert flaky.delay(3).get() == 3
    assert seen == [(0, 0), (1, 0), (2, 9), (3, 9)]
    seen.clear()
    with pytest.raises(ValueError, match="not yet"):
        flaky.delay(9).get()
    assert len(seen) == 4


def test_a_coroutine_runs_from_plain_code_with_and_without_a_running_loop(eager: Penstock) -> None:
    @eager.task
    async def slow(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert slow.delay(1).get() == 2

    async def caller() -> tuple[str, int]:
        return slow.delay(2).status, await (await slow.adelay(3)).aget()

    assert asyncio.run(caller()) == ("SUCCESS", 4)


async def test_on_a_loop_a_coroutine_runs_on_that_loop(eager: Penstock) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @eager.task
    async def where() -> None:
        loops.append(asyncio.get_running_loop())

    assert (await where.adelay()).successful()
    assert loops == [asyncio.get_running_loop()]


def test_the_task_knows_where_it_is_and_tells_its_progress(eager: Penstock) -> None:
    @eager.task(bind=True)
    def work(self: Task) -> list[Any]:
        self.progress(0.5, "half")
        return [self.request.is_eager, self.request.id, eager.AsyncResult(self.request.id).status]

    result = work.apply_async(task_id="7")
    assert result.get() == [True, "7", "STARTED"]
    assert (result.progress or {})["message"] == "half"
    with pytest.raises(TaskIdTaken):
        work.apply_async(task_id="7")


def test_what_a_task_submits_are_its_children(eager: Penstock) -> None:
    @eager.task
    def inner(x: int) -> int:
        return x

    @eager.task
    def outer() -> str:
        inner.delay(1).get()
        return inner.delay(2).id

    result = outer.delay()
    assert [child.get() for child in result.children] == [1, 2]
    assert result.children[1].id == result.get()


def test_ignoring_and_results_that_cannot_travel_end_as_in_a_worker(eager: Penstock) -> None:
    @eager.task
    def ignore() -> None:
        raise Ignore

    @eager.task
    def odd() -> object:
        return object()

    @eager.task(ignore_result=True)
    def silent() -> int:
        return 5

    assert ignore.delay().get() is None
    assert odd.delay().failed()
    assert silent.delay().get() is None
    assert isinstance(eager.send_task("nobody").get(propagate=False), NotRegistered)


def test_whatever_the_urls_say_nothing_of_them_is_touched(make: Callable[..., Penstock], tmp_path: Any) -> None:
    app = make(eager=True, broker=f"sqlite:///{tmp_path}/x.db")
    assert app.task(lambda_named).delay().get() == 1
    assert list(tmp_path.iterdir()) == []


def lambda_named() -> int:
    return 1


def test_the_environment_turns_it_on(make: Callable[..., Penstock], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_EAGER", "1")
    assert make().task(lambda_named).delay().get() == 1
