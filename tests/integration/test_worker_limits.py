"""Time limits of every kind of task (DESIGN §6.3)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from penstock.core.states import FAILURE, SUCCESS
from tests.integration.field import Field, error_of, result_of, seconds_of
from tests.processes import eventually


@pytest.mark.parametrize(
    ("name", "threads"),
    [("asoft", "8"), ("soft", "8"), ("soft", "1"), ("soft_rest", "1")],
    ids=["async", "thread", "process slot", "process slot in a system call"],
)
def test_a_task_may_clean_up_at_its_soft_limit(field: Field, name: str, threads: str) -> None:
    with field.worker("--threads", threads) as worker:
        children = worker.children
        [record] = field.ended(field.send(name, 60, soft_time_limit=0.3))
        assert worker.children == children
    assert (record.state, record.result) == (SUCCESS, b'"cleaned up"')
    assert 0.3 <= seconds_of(record) < 30  # of 60


@pytest.mark.parametrize(("name", "threads"), [("arest", "8"), ("spin", "8"), ("rest", "1")])
def test_a_soft_limit_that_is_not_caught_is_a_failure(field: Field, name: str, threads: str) -> None:
    with field.worker("--threads", threads):
        [record] = field.ended(field.send(name, 60, soft_time_limit=0.2))
    assert record.state == FAILURE
    assert error_of(record) == "SoftTimeLimitExceeded"


@pytest.mark.parametrize(
    ("name", "threads"), [("arest", "8"), ("spin", "8"), ("spin", "1"), ("rest", "1")],
    ids=["async", "thread", "process slot", "process slot in a system call"],
)  # fmt: skip
def test_a_hard_limit_ends_a_task_and_not_its_process(field: Field, name: str, threads: str) -> None:
    with field.worker("--threads", threads) as worker:
        children = worker.children
        [record] = field.ended(field.send(name, 60, time_limit=0.3))
        assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS
        assert worker.children == children
    assert record.state == FAILURE
    assert result_of(record) == {
        "exc_type": "TimeLimitExceeded",
        "exc_message": [0.3],
        "exc_module": "billiard.exceptions",
    }
    assert 0.3 <= seconds_of(record) < 30  # of 60
    assert field.depth() == 0


@pytest.mark.parametrize("name", ["rest", "deaf"], ids=["thread in a system call", "coroutine that swallows"])
def test_a_task_that_does_not_stop_costs_its_child_but_not_its_neighbours(
    field_with: Callable[..., Field], name: str
) -> None:
    field = field_with(grace=45.0)
    flag = field.folder / "flag"
    with field.worker("--threads", "4") as worker:
        [child] = worker.children
        neighbour = field.send("stay", str(flag))
        assert field.begun(neighbour) == child
        guilty = field.send(name, 60, time_limit=0.3)
        [record] = field.ended(guilty)
        assert error_of(record) == "TimeLimitExceeded"
        worker.process.prints(f"{guilty} does not stop")
        worker.process.prints(f", in {name} ")  # where it stands
        eventually(lambda: len(worker.children) == 2)
        assert field.ended(field.send("add", 1, 2))[0].pid != child  # the replacement takes tasks already
        flag.touch()
        [finished] = field.ended(neighbour)
        assert (finished.state, finished.pid) == (SUCCESS, child)
        eventually(lambda: child not in worker.children)
    assert len(field.pids(neighbour)) == 1
    assert len(field.pids(guilty)) == 1
    assert field.depth() == 0


def test_neighbours_that_need_longer_than_the_grace_are_handed_back_uncharged(field_with: Callable[..., Field]) -> None:
    field = field_with(grace=0.3)
    flag = field.folder / "flag"
    with field.worker("--threads", "4") as worker:
        [child] = worker.children
        neighbour = field.send("stay", str(flag))
        assert field.begun(neighbour) == child
        field.ended(field.send("rest", 60, time_limit=0.3))
        assert field.begun(neighbour, times=2) != child
        flag.touch()
        [record] = field.ended(neighbour)
    assert (record.state, record.deliveries, record.attempts) == (SUCCESS, 0, [])


@pytest.mark.parametrize("name", ["grip", "block"], ids=["holds the GIL", "blocks the loop"])
def test_a_task_that_stops_its_whole_process_is_killed_from_outside(field: Field, name: str) -> None:
    with field.worker("--threads", "4") as worker:
        [child] = worker.children
        neighbour = field.send("rest", 3.0)
        assert field.begun(neighbour) == child
        guilty = field.send(name, 60, time_limit=0.5)
        [record] = field.ended(guilty)
        assert error_of(record) == "TimeLimitExceeded"
        assert abs(result_of(record)["exc_message"][0] - 0.5) < 0.4  # it is reckoned from two clocks
        assert field.begun(neighbour, times=2) != child
        [spared] = field.ended(neighbour)
    assert spared.state == SUCCESS
    assert spared.deliveries <= 1  # marked before its second run, as every redelivery; the kill itself charged nothing
    assert len(field.pids(guilty)) == 1
    assert field.depth() == 0


@pytest.mark.parametrize("threads", ["4", "1"], ids=["thread", "process slot"])
def test_a_limit_that_strikes_in_the_middle_of_a_submission_leaves_no_lock(field: Field, threads: str) -> None:
    with field.worker("--threads", threads):
        struck = [field.send("fertile", 5, soft_time_limit=0.01 + number * 0.0013) for number in range(60)]
        assert {record.state for record in field.ended(*struck)} == {FAILURE}
        assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS
