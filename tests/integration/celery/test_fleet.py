"""Celery's workers and ours on one queue."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest

from penstock.client.backends import Backends
from penstock.core.states import SUCCESS
from penstock.core.step import commit
from tests.celery.kit import Fleet, kill
from tests.processes import eventually, tree

MANY = "[app.send_task('tasks.add', [n, 1]).id for n in range(it)]"


def send(fleet: Fleet, count: int) -> list[str]:
    """Our submissions, many at once."""

    async def submit(backends: Backends) -> list[str]:
        made = [fleet.app.prepare("tasks.add", (n, 1), check=False) for n in range(count)]
        for start in range(0, count, 500):
            part = made[start : start + 500]
            await backends.results.records.create([each.record for each in part])
            await commit(backends.broker.publish([each.message for each in part]))
        return [each.record.task_id for each in made]

    return fleet.ask(submit)


def all_run(fleet: Fleet, task_ids: list[str], within: float = 90.0) -> Counter[str]:
    eventually(lambda: len(set(task_ids) - set(fleet.runs())) == 0, within=within, every=0.2, what="every task to run")
    return Counter(who for task_id, event, who, *_ in fleet.lines() if event == "begin")


def test_thousands_of_tasks_each_run_once(mixed: Fleet) -> None:
    task_ids = mixed.celery(MANY, 1000) + send(mixed, 1000)
    with mixed.celery_worker("--concurrency=2"), mixed.worker("--threads", "1"), mixed.worker():
        task_ids += mixed.celery(MANY, 500)
        shares = all_run(mixed, task_ids)
        eventually(lambda: sum(_left(mixed)) == 0, what="nothing is left")
    assert set(mixed.runs().values()) == {1}
    assert shares["celery"] > 0
    assert shares["penstock"] > 0


def _left(fleet: Fleet) -> tuple[int, int]:
    [depth] = fleet.ask(lambda backends: backends.broker.depth(["celery"]))
    return depth.ready + (depth.delayed or 0), depth.claimed or 0


@pytest.mark.alone
@pytest.mark.parametrize("mixed", ["redis"], indirect=True)
def test_nobody_takes_the_others_live_work(mixed: Fleet) -> None:
    """Celery restores whatever is older than its visibility timeout, here two seconds: ours is refreshed until it ends.

    And we do not touch what Celery holds.
    """
    mixed.options += "&visibility_timeout=2"
    # entries are made anew with the lease: that must be due more often than Celery looks for old ones
    with mixed.worker("--threads", "1", PENSTOCK_LEASE_RENEWAL="0.5") as worker:
        sent = mixed.app.send_task("tasks.rest", [8])
        assert mixed.begun(sent.id)[0] == "penstock"
        time.sleep(2.5)  # a Celery worker looks for what to restore when it starts, and then only now and then
        with mixed.celery_worker(VISIBILITY="2"):
            [record] = mixed.ended(sent.id)
        assert record.state == SUCCESS
        assert mixed.runs()[sent.id] == 1
        worker.stop()
    with mixed.celery_worker(VISIBILITY="60", ACKS_LATE="1"):
        theirs = mixed.app.send_task("tasks.rest", [8])
        assert mixed.begun(theirs.id)[0] == "celery"
        with mixed.worker():
            eventually(lambda: ("end", "celery") in _ends(mixed, theirs.id), what="its end")
    assert mixed.runs()[theirs.id] == 1


def _ends(fleet: Fleet, task_id: str) -> list[tuple[str, str]]:
    return [(event, who) for each, event, who, *_ in fleet.lines() if each == task_id]


def test_the_tasks_of_a_killed_celery_worker_come_to_ours(mixed: Fleet) -> None:
    """With `acks_late`: else Celery itself has thrown its message away when it starts the task."""
    with mixed.celery_worker(ACKS_LATE="1", VISIBILITY="3") as celery:
        sent = [mixed.celery("app.send_task('tasks.rest', [it]).id", seconds) for seconds in (600, 0.01, 0.01)]
        mixed.begun(sent[0])
        for pid in tree(celery.pid):
            kill(pid, signal.SIGKILL)
    time.sleep(3.5)  # on Redis what Celery held is overdue now, and somebody of Celery has to look for it
    with mixed.celery_worker("-Q", "nothing", VISIBILITY="3"), mixed.worker("--threads", "4"):
        who = {task_id: mixed.begun(task_id, times=2 if task_id == sent[0] else 1)[0] for task_id in sent}
    assert set(who.values()) == {"penstock"}


def test_the_tasks_of_our_killed_worker_come_to_celery(mixed: Fleet) -> None:
    """Our sweeps give them back: another worker of ours, wherever its queues are."""
    with mixed.worker("--threads", "1") as ours:
        sent = [mixed.app.send_task("tasks.rest", [seconds]).id for seconds in (5, 0.01, 0.01)]
        mixed.begun(sent[0])
        for pid in tree(ours.pid):
            kill(pid, signal.SIGKILL)
    with mixed.celery_worker(), mixed.worker("-Q", "nothing"):
        who = {task_id: mixed.begun(task_id, times=2 if task_id == sent[0] else 1)[0] for task_id in sent}
    assert set(who.values()) == {"celery"}


def test_a_stopping_worker_hands_over_to_the_other_kind(mixed: Fleet) -> None:
    with mixed.worker("--threads", "1") as ours:
        sent = [mixed.celery("app.send_task('tasks.rest', [it]).id", seconds) for seconds in (1.0, *[0.01] * 20)]
        mixed.begun(sent[0])
        assert ours.stop() == 0
    with mixed.celery_worker() as celery:
        slow = [mixed.celery("app.send_task('tasks.rest', [it]).id", seconds) for seconds in (1.0, *[0.01] * 20)]
        mixed.begun(slow[0])
        celery.process.send_signal(signal.SIGTERM)
        celery.process.wait(60)
    with mixed.worker():
        shares = all_run(mixed, sent + slow)
    assert set(mixed.runs().values()) == {1}
    assert shares["celery"] > 0
    assert shares["penstock"] > 0


def test_a_cancelled_task_that_celery_finds_first_does_not_hurt_its_neighbours(mixed: Fleet) -> None:
    """On Redis a message is withdrawn by a mark beside its list, which Celery does not know: it may run the task.

    The record stays as it is, and what comes later is not mistaken for what was withdrawn.
    """
    kept, cancelled, last = [mixed.app.send_task("tasks.add", [each]) for each in range(3)]
    cancelled.revoke()
    with mixed.celery_worker():
        mixed.begun(kept.id)
        mixed.begun(last.id)
    assert cancelled.state == "REVOKED"
    more = [mixed.app.send_task("tasks.add", [each]).id for each in range(3)]
    with mixed.worker():
        mixed.ended(*more)
    assert all(mixed.runs()[each] == 1 for each in (kept.id, last.id, *more))
    assert _left(mixed) == (0, 0)
