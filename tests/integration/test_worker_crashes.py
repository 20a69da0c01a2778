"""Processes of a worker are killed, and nothing is lost (DESIGN §6.2-6.4). Whom to kill is read from the ledger."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from penstock.core.states import FAILURE, SUCCESS
from tests.integration.field import Field, error_of, on_two
from tests.processes import alive, eventually

LONG = {"lease": 300.0, "lease_renewal": 60.0}  # what runs again sooner was not waited for until its lease ran out


def test_a_killed_childs_task_runs_again_at_once(field_with: Callable[..., Field]) -> None:
    field = field_with(**LONG)
    with field.worker() as worker:
        task_id = field.send("crash_once", str(field.folder / "marker"))
        killed = field.begun(task_id)
        again = field.begun(task_id, times=2)
        [record] = field.ended(task_id)
        assert worker.children == [again]
    assert (record.state, record.result, record.deliveries) == (SUCCESS, b'"survived"', 2)
    assert again != killed


@on_two
def test_sigkill_from_outside_of_the_child_that_holds_a_running_task(field_with: Callable[..., Field]) -> None:
    field = field_with(**LONG)
    flag = field.folder / "flag"
    with field.worker(processes=2) as worker:
        task_id = field.send("stay", str(flag))
        holder = field.begun(task_id)
        assert holder in worker.children
        os.kill(holder, signal.SIGKILL)
        field.begun(task_id, times=2)
        flag.touch()
        [record] = field.ended(task_id)
    assert record.state == SUCCESS
    assert record.deliveries == 2
    assert field.depth() == 0


@on_two
def test_a_lost_run_that_was_seen_to_run_is_kept_among_the_attempts(field: Field) -> None:
    flag = field.folder / "flag"
    with field.worker():
        task_id = field.send("stay", str(flag))
        holder = field.begun(task_id)
        eventually(lambda: field.record(task_id).state == "STARTED")
        os.kill(holder, signal.SIGKILL)
        flag.touch()
        [record] = field.ended(task_id)
    assert [(attempt.state, attempt.pid) for attempt in record.attempts] == [("LOST", holder)]


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_crash_loop_ends_after_max_deliveries_and_spares_its_neighbours(
    field_with: Callable[..., Field], threads: str
) -> None:
    field = field_with(max_deliveries=3)
    before = field.send_many("add", 20, 1, 1)
    [guilty] = field.send_many("crash", 1)
    after = field.send_many("add", 20, 1, 1)
    with field.worker("--threads", threads):
        [record] = field.ended(guilty)
        neighbours = field.ended(*before, *after)
    assert record.state == FAILURE
    assert error_of(record) == "WorkerLostError"
    assert len(field.pids(guilty)) == 3
    assert record.deliveries == 3
    [letter] = field.ask(lambda backends: backends.results.dead.page())[0]
    assert (letter.task_id, letter.reason, letter.deliveries) == (guilty, "WorkerLostError", 3)
    assert {each.state for each in neighbours} == {SUCCESS}
    assert {each.retries for each in neighbours} == {0}
    # Marked before its second run is who was redelivered; charged by the crash is only who ran beside the guilty one.
    charged = [each for each in neighbours if each.deliveries > 1]
    assert len(charged) < int(threads)
    assert max(each.deliveries for each in neighbours) <= 2
    assert [each.attempts for each in neighbours if each.attempts] == []
    assert field.depth() == 0


@pytest.mark.alone
def test_the_death_of_the_keeper_goes_unnoticed(field_with: Callable[..., Field]) -> None:
    field = field_with(lease=2.0, lease_renewal=0.5)
    with field.worker() as worker:
        task_id = field.send("rest", 3.0)
        field.begun(task_id)
        first = worker.keeper
        os.kill(first, signal.SIGKILL)
        eventually(lambda: not alive(first))
        [record] = field.ended(task_id)
        assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS
        assert len(field.workers()) == 1
    assert record.state == SUCCESS
    assert len(field.pids(task_id)) == 1


def test_when_the_supervisor_dies_its_children_finish_and_go(field: Field) -> None:
    flag = field.folder / "flag"
    with field.worker("--threads", "1") as worker:
        running = field.send("stay", str(flag))
        [child], keeper = worker.children, worker.keeper
        assert field.begun(running) == child
        waiting = field.send("add", 1, 2)
        os.kill(worker.pid, signal.SIGKILL)
        worker.process.prints("the supervisor is gone", running=False)
        eventually(lambda: field.ask(lambda backends: backends.broker.depth())[0].claimed == 1, what="the rest is back")
        flag.touch()
        assert field.ended(running)[0].state == SUCCESS
        eventually(lambda: not alive(child) and not alive(keeper))
        eventually(lambda: field.workers() == [], what="its entry is gone")
    assert field.events(waiting) == []
    with field.worker():
        [record] = field.ended(waiting)
    assert (record.state, record.deliveries) == (SUCCESS, 0)


@on_two
def test_when_a_whole_worker_dies_another_takes_over(field_with: Callable[..., Field]) -> None:
    field = field_with(lease=2.0, lease_renewal=0.5)
    flag = field.folder / "flag"
    with field.worker() as first:
        task_ids = [field.send("stay", str(flag)) for _ in range(3)]
        for task_id in task_ids:
            assert field.begun(task_id) in first.children
        with field.worker() as second:
            first.process.kill_tree()
            for task_id in task_ids:
                assert field.begun(task_id, times=2) in second.children
            flag.touch()
            assert {record.state for record in field.ended(*task_ids)} == {SUCCESS}
    assert field.depth() == 0


def test_a_worker_that_was_frozen_past_its_lease_rejoins_and_its_late_endings_are_refused(
    field_with: Callable[..., Field],
) -> None:
    field = field_with(lease=1.0, lease_renewal=0.3)
    flag = field.folder / "flag"
    with field.worker("--threads", "2") as first, field.worker("--threads", "2") as second:
        task_id = field.send("stay", str(flag))
        holder = field.begun(task_id)
        frozen = first if holder in first.children else second
        pids = frozen.freeze()
        other = field.begun(task_id, times=2)
        flag.touch()
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        [record] = field.ended(task_id)
        assert record.pid == other
        assert record.state == SUCCESS
        frozen.process.prints("rejoined under a new lease")
        # and it works again
        eventually(lambda: holder in {each.pid for each in field.ended(*[field.send("rest", 0.05) for _ in range(8)])})
    assert field.depth() == 0


@pytest.mark.alone
@pytest.mark.parametrize("task", ["grip", "grip_amid_write"])
def test_a_task_that_holds_the_gil_past_its_lease_is_not_redelivered(
    field_with: Callable[..., Field], task: str
) -> None:
    field = field_with(lease=1.0, lease_renewal=0.3)
    with field.worker() as one, field.worker() as other:
        task_id = field.send(task, 3.0)
        [record] = field.ended(task_id)
        printed = one.process.printed() + other.process.printed()
    assert record.state == SUCCESS
    assert len(field.pids(task_id)) == 1
    assert "took over" not in printed
    assert "lost" not in printed


@pytest.mark.alone
def test_a_store_that_stands_still_past_every_lease_costs_nobody_a_task(field_with: Callable[..., Field]) -> None:
    field = field_with(lease=1.0, lease_renewal=0.3)
    with field.worker() as one, field.worker() as other:
        flag = field.folder / "flag"
        task_id = field.send("stay", str(flag))
        field.begun(task_id)
        with field.standstill():
            eventually(lambda: field.ask(lambda backends: backends.results.leases.lapsed(-2.0)))
        eventually(lambda: not field.ask(lambda backends: backends.results.leases.lapsed()), what="all are renewed")
        flag.touch()
        [record] = field.ended(task_id)
        printed = one.process.printed() + other.process.printed()
    assert record.state == SUCCESS
    assert field.events(task_id) == ["begin", "end"]
    assert "took over" not in printed
    assert "lost" not in printed


def test_one_fault_after_the_other_loses_nothing_and_repeats_only_what_was_in_flight(
    field_with: Callable[..., Field],
) -> None:
    """Two workers, a steady stream of tasks, and every process killed once, each at a moment when it has work."""
    field = field_with(lease=2.0, lease_renewal=0.5, grace=2.0, max_deliveries=20)
    sent: list[str] = []

    def stream() -> None:
        for _ in range(15):
            sent.extend(field.send("add", 1, 2) for _ in range(5))
            sent.extend(field.send(name, 0.1) for name in ("rest", "arest"))

    with field.worker(processes=2) as one, field.worker(processes=2) as other:
        for worker in (one, other):
            for victim in ("child", "keeper", "supervisor", "tree"):
                stream()
                field.begun(sent[-1])
                if victim == "child":
                    os.kill(worker.children[0], signal.SIGKILL)
                elif victim == "keeper":
                    os.kill(worker.keeper, signal.SIGKILL)
                elif victim == "supervisor":
                    os.kill(worker.pid, signal.SIGKILL)
                    worker.process.process.wait()
                    worker.process.restart()
                else:
                    worker.process.kill_tree()
                    worker.process.restart()
        records = field.ended(*sent)
    assert {record.state for record in records} == {SUCCESS}
    runs = field.runs()
    assert set(sent) <= set(runs)
    assert sum(times > 1 for times in runs.values()) < 100  # of 840: what was in flight at eight faults
    assert field.depth() == 0
