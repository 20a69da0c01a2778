"""Many tasks with one call."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.bulk import COMMITTED
from penstock.client.task import Task
from penstock.core.errors import InvalidArguments, InvalidOptions, SubmitError, TaskIdTaken, Unavailable, UnknownTask
from penstock.testing import drain, submitted


@pytest.fixture
def add(app: Penstock) -> Task:
    @app.task
    def add(x: int, y: int = 1) -> int:
        return x + y

    return add


def test_all_are_queued_in_order_and_run(app: Penstock, add: Task) -> None:
    found = app.submit_many([(add, (2, 3)), ("add", {"x": 4}), (add, [5], {"queue": "default", "priority": 0})])
    assert [each.id for each in found] == [each.task_id for each in submitted(app)]
    drain(app)
    assert [each.get(timeout=0) for each in found] == [5, 5, 6]


def test_the_a_twin_does_the_same(app: Penstock, add: Task) -> None:
    found = asyncio.run(app.asubmit_many((add, (x,)) for x in range(3)))
    drain(app)
    assert [each.get(timeout=0) for each in found] == [1, 2, 3]


def test_none_is_fine(app: Penstock) -> None:
    assert app.submit_many([]) == []


def test_more_than_one_commit_holds(app: Penstock, add: Task) -> None:
    found = app.submit_many((add, (x,)) for x in range(COMMITTED + 1))
    assert len({each.id for each in found}) == len(submitted(app)) == COMMITTED + 1


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (("add", ("two",)), InvalidArguments),
        (("add", 2), InvalidArguments),
        (("ad", (2,)), UnknownTask),
        (("add", (2,), {"countdwn": 1}), InvalidOptions),
        ("add", SubmitError),
        (("add",), SubmitError),
        (("add", (2,), {"task_id": "first"}), TaskIdTaken),
        (("add", (2,), {"task_id": "there"}), TaskIdTaken),
    ],
)
def test_one_that_is_wrong_is_named_and_none_is_queued(
    app: Penstock, add: Task, wrong: Any, error: type[SubmitError]
) -> None:
    add.apply_async((0,), task_id="there")
    with pytest.raises(error) as raised:
        app.submit_many([(add, (1,), {"task_id": "first"}), wrong, (add, (3,))])
    assert raised.value.index == 1
    assert "index 1" in raised.value.__notes__[0]
    assert [each.task_id for each in submitted(app)] == ["there"]


def test_names_of_other_programs_need_no_registration(app: Penstock) -> None:
    (found,) = app.submit_many([("elsewhere", (1, 2))], check=False)
    assert submitted(app)[0].task_id == found.id


def test_an_outage_midway_tells_what_was_accepted(app: Penstock, add: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    async def submit(_: Any, submissions: Any) -> None:
        calls.append(len(submissions))
        if len(calls) == 2:
            raise Unavailable("away")

    monkeypatch.setattr("penstock.client.submit.Submitter.submit", submit)
    with pytest.raises(Unavailable) as raised:
        app.submit_many((add, (x,), {"task_id": str(x)}) for x in range(COMMITTED + 5))
    assert raised.value.accepted == [str(x) for x in range(COMMITTED)]


def test_inside_a_task_they_are_its_children(app: Penstock, add: Task) -> None:
    @app.task
    def many() -> None:
        app.submit_many([(add, (1,)), (add, (2,))])

    parent = many.delay()
    drain(app)
    assert [each.get(timeout=0) for each in parent.children or ()] == [2, 3]


def test_eagerly_each_runs_at_once() -> None:
    app = Penstock("eager", eager=True)

    @app.task
    def double(x: int) -> int:
        return 2 * x

    assert [each.get(timeout=0) for each in app.submit_many([(double, (1,)), (double, (2,))])] == [2, 4]
