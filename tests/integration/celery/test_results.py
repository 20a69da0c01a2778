"""Results of our worker, read by Celery's clients; and those of Celery's workers, read by ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.celery.kit import SHARED_QUEUES, CeleryError, Console, Fleet, fleet_of
from tests.integration.celery.conftest import SHARED
from tests.processes import eventually


def got(fleet: Fleet, code: str, it: Any = None) -> Any:
    """What a client gets that sends the task and waits for it."""
    return fleet.celery(f"({code}).get(timeout=60)", it)


def test_a_waiting_client_gets_the_value(served: Fleet) -> None:
    assert got(served, "app.send_task('tasks.add', [2, 3])") == 5
    assert got(served, "app.send_task('tasks.echo', ['ü', None], {'größe': [1.5]})") == [["ü", None], {"größe": [1.5]}]
    assert got(served, "app.send_task('tasks.flaky', [2])") == 2
    code = "celery.group(app.tasks['tasks.add'].s(n, 1) for n in range(20)).apply_async()"
    assert got(served, code) == list(range(1, 21))


def test_a_client_that_looks_sees_everything_of_a_success(served: Fleet) -> None:
    look = """
sent = app.send_task('tasks.add', [2, 3])
value = sent.get(timeout=60)
[value, sent.state, sent.ready(), sent.successful(), sent.traceback, sent.children, sent.date_done is not None]
"""
    assert served.celery(look) == [5, "SUCCESS", True, True, None, [], True]


@pytest.mark.parametrize(
    ("task", "args", "raised"),
    [
        ("tasks.fail", ["boom", 42], "ValueError: ('boom', 42)"),
        ("tasks.raise", ["builtins", "KeyError", "x"], "KeyError: 'x'"),
        ("tasks.raise", ["decimal", "InvalidOperation", "x"], "InvalidOperation: x"),
        ("tasks.raise", ["own", "OwnError", "x"], "OwnError: x"),  # whose module the client does not have
        ("tasks.add", [1, 2, 3], "TypeError"),
        ("tasks.nope", [], "NotRegistered: "),
    ],
)
def test_exceptions_come_back_as_their_class(served: Fleet, task: str, args: list[Any], raised: str) -> None:
    code = f"app.send_task({task!r}, it)"
    with pytest.raises(CeleryError) as caught:
        got(served, code, args)
    assert str(caught.value).startswith(raised)


def test_a_failure_brings_its_traceback(served: Fleet) -> None:
    code = """
sent = app.send_task('tasks.fail', ['boom', 42])
error = sent.get(timeout=60, propagate=False)
[type(error).__name__, error.args, sent.state, sent.failed(), sent.traceback]
"""
    kind, args, state, failed, traceback = served.celery(code)
    assert (kind, args, state, failed) == ("ValueError", ["boom", 42], "FAILURE", True)
    assert traceback.startswith("Traceback (most recent call last):")
    assert "in fail" in traceback


def test_an_expired_task_is_revoked_for_its_caller(served: Fleet) -> None:
    code = """
import datetime
sent = app.send_task('tasks.add', [1], expires=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
sent.get(timeout=60)
"""
    with pytest.raises(CeleryError, match="TaskRevokedError: expired"):
        served.celery(code)


def test_typed_values_come_back_as_they_are(served: Fleet) -> None:
    code = """
import datetime, decimal, uuid
values = [datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc), decimal.Decimal('1.5'), uuid.UUID(int=1),
          b'text', b'bytes \\xff']
app.send_task('tasks.echo', values).get(timeout=60)[0] == values
"""
    assert served.celery(code) is True


@pytest.fixture
def later() -> Iterator[Console]:
    made = Console()
    yield made
    made.close()


@pytest.mark.parametrize("served", ["redis"], indirect=True)
def test_a_client_that_came_later_reads_it_too(served: Fleet, later: Console) -> None:
    """An rpc result is its sender's only; one in Redis is everybody's who knows the id."""
    ids = [served.app.send_task("tasks.add", [2, 3]).id, served.app.send_task("tasks.fail", ["boom", 42]).id]
    served.ended(*ids)
    read = "[(r.state, r.get(propagate=False), r.traceback) for r in map(app.AsyncResult, it)]"
    (state, value, _), (failed, error, traceback) = later.run(read, served.broker, served.backend, ids)
    assert (state, value) == ("SUCCESS", 5)
    assert (failed, error) == ("FAILURE", "ValueError('boom', 42)")
    assert traceback.startswith("Traceback")


@pytest.mark.parametrize("served", ["redis"], indirect=True)
def test_states_on_the_way_are_seen(served: Fleet) -> None:
    look = "[app.AsyncResult(it).state, app.AsyncResult(it).info]"
    sent = served.app.send_task("tasks.rest", [3])
    state, info = eventually(
        lambda: seen if (seen := served.celery(look, sent.id))[0] == "STARTED" else None, what="STARTED"
    ) or ("", None)
    assert state == "STARTED"
    assert info is not None
    assert info["pid"] == served.begun(sent.id)[1]
    sent = served.app.send_task("tasks.later")
    state, info = eventually(lambda: seen if (seen := served.celery(look, sent.id))[0] == "RETRY" else None) or ("", "")
    assert info == "ValueError('not now')"
    assert "ValueError: not now" in served.celery("app.AsyncResult(it).traceback", sent.id)


@pytest.mark.parametrize("served", ["redis"], indirect=True)
def test_the_object_in_redis_is_celerys(served: Fleet) -> None:
    with served.celery_worker("-Q", "theirs"), redis.Redis.from_url(served.broker) as db:
        for task, args in (("tasks.add", [2, 3]), ("tasks.fail", ["boom", 42])):
            ours, theirs = (
                served.celery("app.send_task(*it[:2], queue=it[2]).id", [task, args, queue])
                for queue in ("celery", "theirs")
            )
            objects = []
            for task_id in (ours, theirs):
                key = f"celery-task-meta-{task_id}"
                eventually(lambda key=key: db.exists(key), what=key)  # type: ignore[misc]
                found = json.loads(db.get(key) or b"")
                assert found.pop("task_id") == task_id
                assert 0 < db.ttl(key) <= 7 * 86400
                trace = found.pop("traceback")
                done = found.pop("date_done")
                objects.append((found, type(trace), len(done), done[-6:]))
            assert objects[0] == objects[1]
        quiet = served.celery("app.send_task('tasks.add', [1], ignore_result=True).id")
        silent = served.celery("app.send_task('tasks.silent').id")
        served.ended(quiet, silent)
        assert not db.exists(f"celery-task-meta-{quiet}", f"celery-task-meta-{silent}")


@pytest.fixture(params=[name for name in SHARED if name == "redis"], scope="module")
def theirs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A broker with a worker of Celery's only."""
    made = fleet_of(request.param, request, tmp_path_factory.mktemp("theirs"))
    made.options = SHARED_QUEUES[made.kind]
    with made.celery_worker():
        yield made


def test_our_client_reads_what_celerys_worker_made(theirs: Fleet) -> None:
    assert theirs.app.send_task("tasks.add", [2, 3]).get(timeout=60) == 5
    assert theirs.app.send_task("tasks.flaky", [1]).get(timeout=60) == 1
    failed = theirs.app.send_task("tasks.fail", ["boom", 42])
    with pytest.raises(ValueError, match="boom") as caught:
        failed.get(timeout=60)
    assert caught.value.args == ("boom", 42)
    assert failed.state == "FAILURE"
    assert (failed.traceback or "").startswith("Traceback")
    expired = theirs.app.send_task("tasks.add", [1], expires=-1)
    assert type(expired.get(timeout=60, propagate=False)).__name__ == "TaskRevokedError"


def test_our_client_reads_the_result_of_a_task_that_celery_sent(theirs: Fleet) -> None:
    sent = theirs.celery("app.send_task('tasks.add', [20, 22]).id")
    assert theirs.celery("app.AsyncResult(it).get(timeout=60)", sent) == 42
    assert theirs.app.AsyncResult(sent).get(timeout=60) == 42
    assert theirs.app.AsyncResult(sent).state == "SUCCESS"
