"""Celery's producers, our worker: what they send is run as they meant it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from penstock.core.states import FAILURE, REVOKED, SUCCESS
from tests.celery.kit import Fleet
from tests.integration.celery.conftest import SHARED
from tests.integration.field import error_of, result_of
from tests.processes import eventually


def sent(fleet: Fleet, code: str, it: Any = None, **conf: Any) -> Any:
    """The value of a task sent by `code`, which evaluates to an AsyncResult."""
    [record] = fleet.ended(fleet.celery(f"({code}).id", it, **conf))
    assert record.state == SUCCESS, record
    return result_of(record)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("app.tasks['tasks.add'].delay(2, 3)", 5),
        ("app.tasks['tasks.add'].delay(2, y=3)", 5),
        ("app.tasks['tasks.add'].s(2, y=5).apply_async()", 7),
        ("app.send_task('tasks.add', [2, 3])", 5),
        ("app.send_task('tasks.add', kwargs={'x': 2})", 2),
        ("app.send_task('tasks.add', [2], {'y': 4}, queue='celery', priority=5, retries=2)", 6),
        ("app.send_task('tasks.add', [2], task_id='any text, even ünusual: %d' % time.time_ns())", 2),
        ("app.send_task('tasks.echo', ['ü', None, [{}]], {'größe': '数'})", [["ü", None, [{}]], {"größe": "数"}]),
        ("app.send_task('aufgaben.größe.数', ['täst'])", 4),
    ],
)  # fmt: skip
def test_what_they_send_is_run(served: Fleet, code: str, value: object) -> None:
    assert sent(served, code) == value


@pytest.mark.parametrize("kind", ["zlib", "gzip", "bzip2", "lzma"])
def test_compressed_bodies_are_read(served: Fleet, kind: str) -> None:
    code = f"app.send_task('tasks.echo', ['x' * 10000], compression={kind!r})"
    assert sent(served, code) == [["x" * 10000], {}]


def test_messages_of_protocol_1_are_read(served: Fleet) -> None:
    assert sent(served, "app.send_task('tasks.add', [2], {'y': 3})", task_protocol=1) == 5
    assert sent(served, "app.send_task('tasks.echo', ['ü'], compression='zlib')", task_protocol=1) == [["ü"], {}]


def test_typed_values_arrive_as_celery_means_them(served: Fleet) -> None:
    code = """
import datetime, decimal, uuid
app.send_task('tasks.echo', [datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc), decimal.Decimal('1.5'),
                             uuid.UUID(int=1), b'text', b'bytes \\xff', (1, 2)]).id
"""
    [record] = served.ended(served.celery(code))
    assert result_of(record)[0] == [
        {"__type__": "datetime", "__value__": "2030-01-01T00:00:00+00:00"},
        {"__type__": "decimal", "__value__": "1.5"},
        {"__type__": "uuid", "__value__": {"hex": "00000000000000000000000000000001"}},
        {"__type__": "bytes", "__value__": "text"},
        {"__type__": "base64", "__value__": "Ynl0ZXMg/w=="},
        [1, 2],
    ]


def test_the_task_sees_what_the_producer_said(served: Fleet) -> None:
    code = """app.send_task('tasks.seen', retries=1, time_limit=30, soft_time_limit=20, priority=4, shadow='other',
                root_id='the-root', parent_id='the-parent', headers={'x-custom': 'v'}, ignore_result=False)"""
    found = sent(served, code)
    assert (found["retries"], found["timelimit"], found["shadow"]) == (1, [30, 20], "other")
    assert (found["root_id"], found["parent_id"], found["custom"]) == ("the-root", "the-parent", "v")
    assert (found["correlation_id"], found["ignore_result"]) == (found["id"], False)
    assert found["reply_to"] == served.celery("app.thread_oid")
    assert found["origin"].startswith("gen")
    assert found["delivery_info"] == {"exchange": "", "routing_key": "celery", "priority": 4, "redelivered": False}


def test_the_members_of_a_group_are_run(served: Fleet) -> None:
    code = "[each.id for each in celery.group(app.tasks['tasks.seen'].s() for _ in range(3)).apply_async().results]"
    records = served.ended(*served.celery(code))
    found = [result_of(record) for record in records]
    assert [each["group_index"] for each in found] == [0, 1, 2]
    assert len({each["group"] for each in found}) == 1


@pytest.mark.parametrize(
    "code",
    [
        "app.send_task('tasks.add', [1, 1], countdown=1.5)",
        "app.send_task('tasks.add', [1, 1], eta=datetime.datetime.now(datetime.timezone.utc) + 1.5 * second)",
        "app.send_task('tasks.add', [1, 1], eta=datetime.datetime.now(datetime.timezone(5 * hour)) + 1.5 * second)",
        # naive: in the producer's own time zone, which is UTC here
        "app.send_task('tasks.add', [1, 1], eta=datetime.datetime.utcnow() + 1.5 * second)",
        "old.send_task('tasks.add', [1, 1], countdown=1.5)",
    ],
)
def test_delays_are_kept(served: Fleet, code: str) -> None:
    prepare = """
import datetime
second, hour = datetime.timedelta(seconds=1), datetime.timedelta(hours=1)
old = app_of(broker, backend, {'task_default_queue': 'celery', 'task_protocol': 1})
"""
    before = time.time()
    task_id = served.celery(f"{prepare}({code}).id")
    assert served.ended(task_id)[0].result == b"2"
    assert served.begun(task_id)[2] >= before + 1.5


def test_a_message_with_an_eta_does_not_wait_in_a_worker(served: Fleet) -> None:
    """Celery's would hold it; ours gives it back, and the message is in the broker until its time has come."""
    task_id = served.celery("app.send_task('tasks.add', [1, 1], countdown=3600).id")
    following = [served.celery("app.send_task('tasks.add', [1, 1]).id") for _ in range(3)]
    assert [record.state for record in served.ended(*following)] == [SUCCESS] * 3
    assert task_id not in served.runs()


def test_an_expired_task_is_revoked_and_not_run(served: Fleet) -> None:
    code = """
import datetime
app.send_task('tasks.add', [1, 1], expires=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)).id
"""
    [record] = served.ended(served.celery(code))
    assert record.state == REVOKED
    assert result_of(record)["exc_message"] == ["expired"]
    assert record.task_id not in served.runs()
    assert sent(served, "app.send_task('tasks.add', [1, 1], expires=60)") == 2


def test_ignored_results_are_not_kept(served: Fleet) -> None:
    [record] = served.ended(served.celery("app.send_task('tasks.add', [1, 1], ignore_result=True).id"))
    assert (record.state, record.result) == (SUCCESS, None)
    [record] = served.ended(served.celery("app.send_task('tasks.silent').id"))
    assert (record.state, record.result) == (SUCCESS, None)
    assert sent(served, "app.send_task('tasks.silent', ignore_result=False)") == 1


def test_retries_go_on_from_the_number_in_the_message(served: Fleet) -> None:
    assert sent(served, "app.send_task('tasks.flaky', [2])") == 2
    [record] = served.ended(served.celery("app.send_task('tasks.flaky', [9], retries=2).id"))
    assert (record.state, result_of(record)["exc_message"]) == (FAILURE, ["not yet", 3])
    assert served.runs()[record.task_id] == 2


def test_a_task_that_nobody_knows_fails_and_is_kept(served: Fleet) -> None:
    [record] = served.ended(served.celery("app.send_task('tasks.nope', [1]).id"))
    assert result_of(record) == {
        "exc_type": "NotRegistered",
        "exc_message": ["tasks.nope"],
        "exc_module": "celery.exceptions",
    }
    [letter] = [each for each in served.letters(reason="NotRegistered") if each.task_id == record.task_id]
    assert json.loads(letter.message.body)[0] == [1]


def test_wrong_arguments_are_a_type_error(served: Fleet) -> None:
    [record] = served.ended(served.celery("app.send_task('tasks.add', [1, 2, 3]).id"))
    assert error_of(record) == "TypeError"


ADD = "app.tasks['tasks.add']"


@pytest.mark.parametrize(
    ("code", "field"),
    [
        (f"celery.chain({ADD}.s(1, 1), {ADD}.s(1)).apply_async().parent", "chain"),
        (f"{ADD}.apply_async((1, 1), link={ADD}.s(1))", "callbacks"),
        (f"{ADD}.apply_async((1, 1), link_error={ADD}.s(1))", "errbacks"),
        ("app.send_task('tasks.add', [1, 1], chord=app.tasks['tasks.echo'].s())", "chord"),
    ],
)
def test_workflows_are_kept_whole_and_not_run(served: Fleet, code: str, field: str) -> None:
    task_id = served.celery(f"({code}).id")
    [record] = served.ended(task_id)
    assert error_of(record) == "BadMessage"
    [letter] = [each for each in served.letters(reason="unsupported") if each.task_id == task_id]
    assert field in letter.detail
    assert json.loads(letter.message.body)[2][field]
    assert task_id not in served.runs()


def test_more_urgent_tasks_go_first(fleet: Fleet) -> None:
    """On Redis 0 is Celery's most urgent, in four steps; on RabbitMQ 9 is, in queues that were declared so."""
    code = "[app.send_task('tasks.add', [each], priority=each).id for each in (9, 6, 3, 0, 9, 6, 3, 0)]"
    task_ids = fleet.celery(code, task_queue_max_priority=9)
    urgent = [3, 7, 2, 6, 1, 5, 0, 4] if fleet.kind == "redis" else [0, 4, 1, 5, 2, 6, 3, 7]
    with fleet.worker("--threads", "1"):
        fleet.ended(*task_ids)
    assert fleet.order() == [task_ids[each] for each in urgent]


def test_a_queue_that_nobody_has_declared_before(fleet: Fleet) -> None:
    with fleet.worker("-Q", "celery,täglich"):
        [record] = fleet.ended(fleet.celery("app.send_task('tasks.add', [1], queue='täglich').id"))
        assert record.queue == "täglich"


@pytest.mark.parametrize("fleet", [name for name in SHARED if name == "rabbitmq"], indirect=True)
def test_native_delayed_delivery_of_celery_arrives(fleet: Fleet) -> None:
    """Celery 5.5 and later, for queues of type quorum behind an exchange that is not direct: the server waits."""
    prepare = """
late = celery.Celery("late", broker=broker, backend=backend, set_as_current=False)
queue = kombu.Queue("late", kombu.Exchange("late", type="topic"), "late", queue_arguments={"x-queue-type": "quorum"})
late.conf.update(task_queues=[queue], task_default_queue="late", task_default_exchange_type="topic")
with late.connection_for_write() as connection:
    queue(connection.default_channel).declare()
"""
    there = """
try:
    with late.connection_for_write() as connection:
        connection.default_channel.exchange_declare("celery_delayed_27", "topic", passive=True)
        found = True
except Exception:
    found = False
found
"""
    fleet.celery(prepare)
    with fleet.worker("-Q", "late"):
        eventually(lambda: fleet.celery(there), every=0.5, what="the levels of delays")
        before = time.time()
        task_id = fleet.celery("late.send_task('tasks.add', [1, 1], countdown=3).id")
        assert fleet.begun(task_id)[2] >= before + 3
        assert fleet.ended(task_id)[0].result == b"2"
        assert fleet.runs()[task_id] == 1
