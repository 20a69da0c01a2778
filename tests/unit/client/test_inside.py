"""What a task can do while it runs: self.request, self.retry, self.progress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.context import Running, running
from penstock.client.task import Task
from penstock.core.errors import EncodingError, InvalidArguments, InvalidOptions, MaxRetriesExceededError, Retry
from penstock.core.protocol import decode_task
from penstock.core.request import Request


@contextmanager
def run_of(task: Task, *args: Any, retries: int = 0) -> Iterator[tuple[Request, list[bytes]]]:
    """What a worker sets up around a run."""
    app = task.app
    assert isinstance(app, Penstock)
    request = decode_task(app.prepare(task.name, args, {"key": "v"}, {"retries": retries}, check=False).message)
    reports: list[bytes] = []
    token = running.set(Running(request, app, reports.append, worker="w@here"))
    try:
        yield request, reports
    finally:
        running.reset(token)


def bound(app: Penstock, **options: Any) -> Task:
    def work(self: Task, x: int = 0, key: str = "") -> None: ...

    task: Task = app.task(bind=True, **options)(work)
    return task


def test_the_request_is_the_message_that_runs(app: Penstock) -> None:
    task = bound(app)
    with run_of(task, 7) as (request, _):
        assert task.request is request
        assert (request.args, request.kwargs, request.called_directly) == ([7], {"key": "v"}, False)


def test_a_direct_call_has_a_request_that_says_so(app: Penstock) -> None:
    assert bound(app).request.called_directly
    assert bound(app).request.id == ""


def test_a_task_that_another_one_calls_directly_has_not_the_others_request(app: Penstock) -> None:
    inner = bound(app, name="inner")
    with run_of(bound(app, name="outer")):
        assert inner.request.called_directly


def test_a_call_rebuilds_the_arguments_and_passes_the_task_itself(app: Penstock) -> None:
    seen: list[Any] = []

    @app.task(bind=True)
    def note(self: Task, when: datetime, key: str) -> str:
        seen.extend((self.name, when, key))
        return key

    moment = datetime(2030, 1, 1, tzinfo=UTC)
    request = decode_task(app.prepare("note", (moment,), {"key": "v"}).message)
    assert app.tasks["note"].call(request) == "v"
    assert seen == ["note", moment, "v"]


def test_retry_raises_what_the_worker_understands(app: Penstock) -> None:
    task = bound(app)
    error = ValueError("boom")
    with run_of(task), pytest.raises(Retry) as caught:
        raise task.retry(exc=error, countdown=5)
    assert (caught.value.delay, caught.value.cause, caught.value.body) == (5.0, error, None)
    assert caught.value.__cause__ is error


def test_retry_inside_an_except_block_knows_the_error(app: Penstock) -> None:
    with run_of(task := bound(app)):
        try:
            raise KeyError("k")
        except KeyError:
            retry = task.retry(throw=False)
    assert isinstance(retry.cause, KeyError)
    assert retry.delay is None


def test_retry_may_be_returned_instead_of_raised(app: Penstock) -> None:
    with run_of(task := bound(app)):
        assert isinstance(task.retry(throw=False), Retry)


def test_retry_at_a_time_waits_until_then_and_never_less_than_nothing(app: Penstock) -> None:
    task = bound(app)
    with run_of(task):
        later = datetime.fromtimestamp(app.clock() + 30, UTC)
        assert task.retry(eta=later, throw=False).delay == 30.0
        assert task.retry(eta="2001-01-01", throw=False).delay == 0.0


@pytest.mark.parametrize("options", [{"countdown": "5"}, {"countdown": float("nan")}, {"eta": 5}])
def test_retry_refuses_times_that_are_none(app: Penstock, options: dict[str, Any]) -> None:
    task = bound(app)
    with run_of(task), pytest.raises(InvalidOptions, match=next(iter(options))):
        task.retry(**options)


def test_retry_with_other_arguments_carries_them(app: Penstock) -> None:
    task = bound(app)
    with run_of(task, 1):
        retry = task.retry(args=(2,), throw=False)
        assert json.loads(retry.body or b"")[:2] == [[2], {"key": "v"}]
        with pytest.raises(InvalidArguments):
            task.retry(args=("x",))


def test_when_retries_are_used_up_the_given_error_is_the_end(app: Penstock) -> None:
    task = bound(app, max_retries=2)
    with run_of(task, retries=2):
        with pytest.raises(KeyError):
            task.retry(exc=KeyError("k"))
        with pytest.raises(OSError, match=r"^$"):
            task.retry(exc=OSError)
        with pytest.raises(MaxRetriesExceededError, match="retried 2 times"):
            task.retry()
        assert task.retry(max_retries=3, throw=False).max_retries == 3


def test_retry_outside_a_worker_raises_the_error_itself(app: Penstock) -> None:
    task = bound(app)
    with pytest.raises(KeyError):
        task.retry(exc=KeyError("k"))
    with pytest.raises(Retry):
        task.retry()


def test_max_retries_can_be_asked_for(app: Penstock) -> None:
    assert bound(app, name="a", max_retries=5).max_retries == 5
    assert bound(app, name="b").max_retries == 3
    assert bound(app, name="c", max_retries=None).max_retries is None


def test_progress_is_reported_as_json(app: Penstock) -> None:
    with run_of(task := bound(app)) as (_, reports):
        task.progress(0.5, "resizing", left=3)
        task.progress(message="almost")
    assert [json.loads(report) for report in reports] == [
        {"fraction": 0.5, "message": "resizing", "left": 3},
        {"fraction": None, "message": "almost"},
    ]


def test_celerys_update_state_is_a_report_too(app: Penstock) -> None:
    with run_of(task := bound(app)) as (_, reports):
        task.update_state(state="PROGRESS", meta={"current": 1, "total": 4})
        task.update_state(meta={"note": "x"})
    assert [json.loads(report)["fraction"] for report in reports] == [0.25, None]
    assert json.loads(reports[0]) == {
        "fraction": 0.25,
        "message": None,
        "state": "PROGRESS",
        "current": 1,
        "total": 4,
    }


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_is_from_0_to_1(app: Penstock, fraction: float) -> None:
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        bound(app).progress(fraction)


def test_progress_outside_a_worker_only_looks_whether_it_could_travel(app: Penstock) -> None:
    bound(app).progress(1.0)
    with pytest.raises(EncodingError, match="progress"):
        bound(app).progress(0.5, odd={1})


def test_a_run_and_its_children_end_to_end(app: Penstock, work: Callable[[Penstock], list[str]]) -> None:
    @app.task
    def child(x: int) -> int:
        return x * 2

    @app.task(bind=True)
    def parent(self: Task, n: int) -> str:
        for x in range(n):
            child.delay(x)
        return self.request.id

    outcome = parent.delay(2)
    work(app)
    work(app)
    assert outcome.get(timeout=0) == outcome.id
    assert [each.get(timeout=0) for each in outcome.children] == [0, 2]
