"""What tasks do and how they end, on real worker processes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from penstock.client import letters, operations
from penstock.client.backends import Backends
from penstock.core.errors import NotFound
from penstock.core.states import FAILURE, REVOKED, STARTED, SUCCESS
from tests.integration.field import Field, error_of, on_two, result_of, seconds_of
from tests.processes import eventually


def test_plain_and_async_tasks_run_and_their_results_are_kept(field: Field) -> None:
    with field.worker():
        plain, asynchronous = field.send("add", 2, 3), field.send("aadd", 4, 5)
        records = field.ended(plain, asynchronous)
    assert [record.state for record in records] == [SUCCESS, SUCCESS]
    assert [record.result for record in records] == [b"5", b"9"]
    assert records[0].pid == field.pids(plain)[0]
    assert 0 <= seconds_of(records[0]) < 60
    assert field.depth() == 0


def test_a_process_slot_runs_plain_functions_on_the_main_thread(field: Field) -> None:
    with field.worker("--threads", "1"):
        assert field.ended(field.send("add", 2, 3))[0].result == b"5"
        assert field.ended(field.send("aadd", 2, 3))[0].result == b"5"


@on_two
def test_a_retried_task_keeps_each_attempt(field: Field) -> None:
    with field.worker():
        [record] = field.ended(field.send("flaky", 2))
    assert (record.state, record.result, record.retries) == (SUCCESS, b"2", 2)
    assert [attempt.number for attempt in record.attempts] == [1, 2]
    assert [attempt.state for attempt in record.attempts] == ["RETRY", "RETRY"]
    first = record.attempts[0]
    assert first.error == {"exc_type": "ValueError", "exc_message": ["not yet", 0], "exc_module": "builtins"}
    assert first.traceback is not None
    assert first.traceback.startswith("Traceback (most recent call last):")
    assert "penstock/worker" not in first.traceback
    assert field.depth() == 0


def test_a_task_out_of_retries_fails_with_its_own_exception(field: Field) -> None:
    with field.worker():
        [record] = field.ended(field.send("flaky", 9))
    assert record.state == FAILURE
    assert result_of(record)["exc_message"] == ["not yet", 2]
    assert len(record.attempts) == 2
    assert len(field.pids(record.task_id)) == 3


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("exit", "SystemExit"),
        ("interrupt", "KeyboardInterrupt"),
        ("generator", "TypeError"),
        ("set", "EncodingError"),
        ("nan", "EncodingError"),
        ("reject", "Reject"),
        ("boom", "RuntimeError"),
    ],
)
@pytest.mark.parametrize("threads", ["8", "1"])
def test_whatever_a_task_does_ends_the_task_and_not_the_worker(
    field: Field, what: str, kind: str, threads: str
) -> None:
    with field.worker("--threads", threads) as worker:
        children = worker.children
        [record] = field.ended(field.send("ends_with", what))
        assert field.ended(field.send("add", 1, 1))[0].state == SUCCESS
        assert worker.children == children
    assert record.state == FAILURE
    assert error_of(record) == kind


def test_a_rejected_message_is_among_the_dead_letters(field: Field) -> None:
    with field.worker():
        [record] = field.ended(field.send("ends_with", "reject"))
    [letter] = field.ask(lambda backends: backends.results.dead.of_task(record.task_id))
    assert (letter.reason, letter.detail, letter.task) == ("rejected", "no thanks", "ends_with")


def test_a_task_rejected_with_requeue_comes_again(field: Field) -> None:
    with field.worker():
        task_id = field.send("ends_with", "requeue")
        field.begun(task_id, times=2)


def test_ignore_ends_a_task_without_a_value(field: Field) -> None:
    with field.worker():
        [record] = field.ended(field.send("ends_with", "ignore"))
    assert (record.state, record.result) == (SUCCESS, None)


def test_an_unknown_task_fails_and_is_among_the_dead_letters(field: Field) -> None:
    with field.worker():
        [record] = field.ended(field.send("no_such_task"))
    assert error_of(record) == "NotRegistered"
    [letter] = field.ask(lambda backends: backends.results.dead.of_task(record.task_id))
    assert letter.reason == "NotRegistered"


def test_a_delayed_task_begins_no_earlier_than_its_eta(field: Field) -> None:
    with field.worker():
        sent = time.time()
        [record] = field.ended(field.send("add", 1, 2, countdown=0.7))
    assert sent + 0.7 <= (record.started_at or 0)


def test_an_expired_task_is_revoked_and_never_runs(field: Field) -> None:
    task_id = field.send("add", 1, 2, expires=0.01)
    field.seen(task_id, lambda record: record.expires is not None and time.time() > record.expires)
    with field.worker():
        [record] = field.ended(task_id)
    assert record.state == REVOKED
    assert result_of(record)["exc_message"] == ["expired"]
    assert field.events(task_id) == []


def test_a_running_task_is_marked_started_after_a_second(field: Field) -> None:
    with field.worker():
        task_id = field.send("rest", 60)
        pid = field.begun(task_id)
        record = field.seen(task_id, lambda record: record.state == STARTED)
        assert record.pid == pid
        assert record.deliveries == 0
        changes = field.ask(lambda backends: backends.results.records.changes(0))
        [marked] = [change.at for change in changes if change.state == STARTED]
        assert marked - (record.started_at or 0) > 0.9
        [running] = eventually(
            lambda: [run for child in field.workers()[0].status["children"] for run in child["running"]]
        )
        assert (running["task_id"], running["task"]) == (task_id, "rest")


@on_two
def test_progress_is_seen_while_the_task_runs(field: Field) -> None:
    with field.worker():
        flag = field.folder / "flag"
        task_id = field.send("steps", str(flag))
        record = field.seen(task_id, lambda record: record.progress)
        assert record.state == STARTED
        assert 0 < json.loads(record.progress or b"")["fraction"] < 1
        flag.touch()
        assert field.ended(task_id)[0].state == SUCCESS


@pytest.mark.parametrize("name", ["parent", "aparent"])
def test_tasks_submitted_by_a_task_are_its_children(field: Field, name: str) -> None:
    with field.worker():
        [record] = field.ended(field.send(name, 3))
        assert record.children == result_of(record)
        children = field.ended(*record.children)
    assert [child.result for child in children] == [b"1", b"2", b"3"]
    assert [child.message.headers["parent_id"] for child in children] == [record.task_id] * 3
    assert [child.message.headers["root_id"] for child in children] == [record.task_id] * 3


def test_a_higher_priority_goes_first(field: Field) -> None:
    low = [field.send("add", 1, 1) for _ in range(20)]
    high = field.send("add", 2, 2, priority=9)
    with field.worker():
        field.ended(*low, high)
    assert next(iter(field.runs())) == high


def test_a_thousand_tasks_across_three_workers_each_run_once(field: Field) -> None:
    with field.worker(), field.worker(), field.worker():
        task_ids = field.send_many("add", 500, 1, 2) + field.send_many("rest", 500, 0.01)
        records = field.ended(*task_ids)
    assert {record.state for record in records} == {SUCCESS}
    assert set(field.runs().values()) == {1}
    assert len({record.pid for record in records}) > 1
    assert field.depth() == 0


# --------------------------------------------------------------------------------------------------------------- cancel


def cancel(field: Field, task_id: str, terminate: bool = False) -> str:
    return field.ask(lambda backends: operations.cancel(backends, task_id, terminate)).outcome


@on_two
def test_a_task_cancelled_while_it_waits_in_a_child_never_runs(field: Field) -> None:
    with field.worker("--threads", "1"):
        flag = field.folder / "flag"
        first = field.send("stay", str(flag))
        field.begun(first)
        second = field.send("add", 1, 2)
        assert cancel(field, second) in {"revoked", "requested"}
        flag.touch()
        assert field.ended(second)[0].state == REVOKED
        assert field.ended(first)[0].state == SUCCESS
    assert field.events(second) == []


@pytest.mark.parametrize(
    ("name", "threads", "store"),
    [
        ("arest", "8", "sqlite"), ("spin", "8", "sqlite"), ("rest", "1", "sqlite"), ("rest", "1", "postgres"),
        ("rest", "8", "sqlite"), ("grip", "8", "sqlite"),
    ],
    indirect=["store"],
)  # fmt: skip
def test_a_running_task_can_be_terminated(field_with: Callable[..., Field], name: str, threads: str) -> None:
    field = field_with(grace=0.5)
    with field.worker("--threads", threads):
        task_id = field.send(name, 60)
        field.begun(task_id)
        assert cancel(field, task_id, terminate=True) == "requested"
        [record] = field.ended(task_id)
        assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS  # the worker goes on
        assert field.depth() == 0
    assert record.state == REVOKED
    assert result_of(record)["exc_message"] == ["terminated"]
    assert "end" not in field.events(task_id)


@on_two
def test_letters_are_answered(field: Field) -> None:
    with field.worker(processes=2) as worker:
        name = field.workers()[0].name
        pong = field.ask(lambda backends: letters.ask(backends, name, "ping", timeout=20))
        stacks = field.ask(lambda backends: letters.ask(backends, name, "stacks", timeout=20))
        assert pong == {"children": {str(pid): "pong" for pid in worker.children}, "silent": 0}
        assert "thread MainThread" in stacks["children"][str(worker.children[0])]
        field.ask(lambda backends: letters.ask(backends, name, "shutdown", timeout=20))
        assert worker.process.process.wait(30) == 0
    eventually(lambda: field.workers() == [], what="its entry is gone")


def test_whoever_asks_while_the_worker_goes_is_answered_or_told_so_soon(field: Field) -> None:
    async def ask(backends: Backends, name: str, method: str) -> dict[str, Any] | None:
        try:
            return await letters.ask(backends, name, method, timeout=30)
        except NotFound:
            return None

    with field.worker(processes=2) as worker:
        name = field.workers()[0].name
        methods = ["ping", "stacks", "shutdown", *["ping"] * 20]
        answers = field.ask(lambda backends: asyncio.gather(*(ask(backends, name, each) for each in methods)))
        assert answers[2] == {"children": {}, "silent": 0}
        assert worker.process.process.wait(30) == 0
