"""How workers and their children end: drained, recycled, reloaded (DESIGN §6.6)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from penstock.core.states import PENDING, SUCCESS
from tests.integration.field import Field, on_two
from tests.processes import alive, eventually, tree


@pytest.mark.parametrize("threads", ["1", "4"])
def test_sigterm_lets_running_tasks_finish_and_hands_back_the_rest(field: Field, threads: str) -> None:
    flag = field.folder / "flag"
    with field.worker("--threads", threads) as worker:
        running = field.send("stay", str(flag))
        field.begun(running)
        waiting = [field.send("rest", 1.0) for _ in range(8)] if threads == "1" else []
        worker.signal(signal.SIGTERM)
        eventually(lambda: field.ask(lambda backends: backends.broker.depth())[0].claimed == 1, what="the rest is back")
        worker.process.prints("draining: SIGTERM")
        flag.touch()
        assert worker.process.process.wait(30) == 0
    record = field.record(running)
    assert record.state == SUCCESS
    assert field.events(running) == ["begin", "end"]
    for task_id in waiting:
        assert field.record(task_id).state == PENDING
        assert field.record(task_id).deliveries == 0
    eventually(lambda: field.workers() == [], what="its entry is gone")


@on_two
def test_what_is_not_finished_within_the_grace_is_handed_back_uncharged(field_with: Callable[..., Field]) -> None:
    field = field_with(grace=1.5)
    with field.worker() as worker:
        names = ["rest", "arest"]
        task_ids = [field.send(name, 60) for name in names]
        for task_id in task_ids:
            field.begun(task_id)
        eventually(lambda: all(field.record(task_id).state == "STARTED" for task_id in task_ids))
        worker.signal(signal.SIGTERM)
        assert worker.process.process.wait(30) == 0  # half of what the tasks would need
    for task_id in task_ids:
        record = field.record(task_id)
        assert (record.state, record.deliveries, record.attempts) == (PENDING, 0, [])
    assert field.ask(lambda backends: backends.broker.depth())[0].ready == 2
    with field.worker():
        for task_id in task_ids:
            field.begun(task_id, times=2)


def test_a_second_signal_hands_back_at_once(field_with: Callable[..., Field]) -> None:
    field = field_with(grace=300.0)
    with field.worker() as worker:
        task_id = field.send("rest", 300)
        field.begun(task_id)
        worker.signal(signal.SIGINT)
        worker.process.prints("draining")
        worker.signal(signal.SIGINT)
        assert worker.process.process.wait(60) == 0
    assert field.record(task_id).deliveries == 0
    assert field.ask(lambda backends: backends.broker.depth())[0].ready == 1


def test_a_signal_to_the_whole_group_is_the_supervisors_to_understand(field: Field) -> None:
    with field.worker() as worker:
        task_id = field.send("rest", 0.8)
        field.begun(task_id)
        os.killpg(worker.pid, signal.SIGINT)  # as a terminal does
        os.killpg(worker.pid, 0)
        assert worker.process.process.wait(30) == 0
    assert field.record(task_id).state == SUCCESS


def test_sigterm_to_a_child_alone_replaces_it_in_order(field: Field) -> None:
    with field.worker() as worker:
        [child] = worker.children
        task_id = field.send("rest", 0.8)
        field.begun(task_id)
        worker.signal(signal.SIGTERM, child)
        [record] = field.ended(task_id)
        assert (record.state, record.pid) == (SUCCESS, child)
        eventually(lambda: not alive(child))
        assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS
        assert "died" not in worker.process.printed()


def test_a_child_is_replaced_after_its_share_of_tasks(field: Field) -> None:
    with field.worker("--max-tasks-per-child", "10"):
        task_ids = field.send_many("add", 50, 1, 2)
        records = field.ended(*task_ids)
    by_pid = [record.pid for record in records]
    assert len(set(by_pid)) >= 5
    assert max(by_pid.count(pid) for pid in set(by_pid)) <= 10
    assert set(field.runs().values()) == {1}


def test_a_child_that_has_grown_too_large_is_replaced(field: Field) -> None:
    with field.worker("--max-memory-per-child", str(200 << 20)) as worker:
        [child] = worker.children
        [record] = field.ended(field.send("hog", 300))
        assert (record.state, record.pid) == (SUCCESS, child)
        eventually(lambda: not alive(child))
        assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS
    assert "the limit is 200" in worker.process.printed()


def test_sighup_loads_the_app_as_it_is_now(field: Field) -> None:
    with field.worker() as worker:
        assert field.ended(field.send("add", 1, 2))[0].result == b"3"
        app = field.folder / "worker_app.py"
        app.write_text(app.read_text().replace("return x + y", "return x * y + 100"))
        before = worker.process.printed().count("ready:")
        worker.signal(signal.SIGHUP)
        eventually(lambda: worker.process.printed().count("ready:") > before)
        assert field.ended(field.send("add", 1, 2))[0].result == b"102"
        assert worker.process.process.poll() is None


def test_sighup_with_an_app_that_is_broken_now_changes_nothing(field: Field) -> None:
    with field.worker() as worker:
        children = worker.children
        app = field.folder / "worker_app.py"
        app.write_text("this is not Python")
        worker.signal(signal.SIGHUP)
        worker.process.prints("going on as before")
        assert field.ended(field.send("add", 1, 2))[0].result == b"3"
        assert worker.children == children


def test_sigusr1_writes_the_stacks(field: Field) -> None:
    with field.worker() as worker:
        field.begun(field.send("rest", 60))
        worker.signal(signal.SIGUSR1)
        worker.process.prints("worker_app.py")


def test_nothing_is_left_behind(field: Field) -> None:
    with field.worker(processes=2) as worker:
        pids = tree(worker.pid)
        assert len(pids) == 4
        assert worker.process.stop() == 0
        assert not any(alive(pid) for pid in pids)
