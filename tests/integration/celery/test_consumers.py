"""Our producers, Celery's worker: what we send is run as we meant it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.celery.kit import SHARED_QUEUES, Fleet, fleet_of
from tests.integration.celery.conftest import SHARED

GET = "app.AsyncResult(it).get(timeout=60)"


@pytest.fixture(params=SHARED, scope="module")
def theirs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A broker with a worker of Celery's, for the tests of this module."""
    made = fleet_of(request.param, request, tmp_path_factory.mktemp("theirs"))
    made.options = SHARED_QUEUES[made.kind]
    with made.celery_worker(MAX_PRIORITY=""):
        yield made


def test_arguments_arrive(theirs: Fleet) -> None:
    plain = theirs.app.send_task("tasks.add", [2, 3])
    named = theirs.app.send_task("tasks.echo", ["ü"], {"größe": [None, 1.5, {"数": True}]})
    theirs.begun(plain.id)
    theirs.begun(named.id)


@pytest.mark.parametrize("theirs", ["redis"], indirect=True)
def test_their_client_reads_the_results(theirs: Fleet) -> None:
    echo = theirs.app.send_task("tasks.echo", ["ü"], {"größe": [None, 1.5, {"数": True}]})
    assert theirs.celery(GET, echo.id) == [["ü"], {"größe": [None, 1.5, {"数": True}]}]
    flaky = theirs.app.send_task("tasks.flaky", [2])
    assert theirs.celery(GET, flaky.id) == 2
    assert theirs.runs()[flaky.id] == 3


@pytest.mark.parametrize("theirs", ["redis"], indirect=True)
def test_the_task_sees_what_we_said(theirs: Fleet) -> None:
    sent = theirs.app.send_task(
        "tasks.seen", headers={"x-custom": "v"}, retries=1, time_limit=30, soft_time_limit=20, shadow="other",
        root_id="the-root", parent_id="the-parent", expires=600, ignore_result=False,
    )  # fmt: skip
    found = theirs.celery(GET, sent.id)
    assert (found["id"], found["root_id"], found["parent_id"]) == (sent.id, "the-root", "the-parent")
    assert (found["retries"], found["timelimit"], found["shadow"]) == (1, [30, 20], "other")
    assert (found["custom"], found["ignore_result"], found["correlation_id"]) == ("v", False, sent.id)
    assert (found["argsrepr"], found["kwargsrepr"]) == ("()", "{}")
    assert found["delivery_info"]["routing_key"] == "celery"


def test_a_delay_is_kept(theirs: Fleet) -> None:
    before = time.time()
    sent = theirs.app.send_task("tasks.add", [1], countdown=1.5)
    assert theirs.begun(sent.id)[2] >= before + 1.5


def test_more_urgent_tasks_go_first(mixed: Fleet) -> None:
    """The number is passed on as it is, with the meaning that it has for Celery on this broker."""
    if mixed.kind == "rabbitmq":  # queues have priorities where they were declared so
        mixed.celery("app.send_task('tasks.add', [1])", task_queue_max_priority=9)
    sent = [mixed.app.send_task("tasks.rest", [0.05], priority=each).id for each in (9, 6, 3, 0, 9, 6, 3, 0)]
    urgent = [3, 7, 2, 6, 1, 5, 0, 4] if mixed.kind == "redis" else [0, 4, 1, 5, 2, 6, 3, 7]
    with mixed.celery_worker("--prefetch-multiplier=1", MAX_PRIORITY="9" if mixed.kind == "rabbitmq" else ""):
        for each in sent:
            mixed.begun(each)
    assert [each for each in mixed.order() if each in sent] == [sent[each] for each in urgent]


def test_an_expired_task_is_not_run(theirs: Fleet) -> None:
    late = theirs.app.send_task("tasks.add", [1], expires=-1)
    theirs.begun(theirs.app.send_task("tasks.add", [1], expires=600).id)
    assert late.id not in theirs.runs()
