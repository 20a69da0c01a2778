"""Hostile and broken messages: never run, never unpickled, kept with the reason; the queue goes on."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from penstock.brokers.redis.envelope import decode
from penstock.client.backends import Backends
from penstock.core.record import DeadLetter
from penstock.core.states import FAILURE, SUCCESS
from tests.celery import hostile
from tests.celery.kit import Fleet
from tests.integration.field import result_of
from tests.processes import Launched, tree

PUT = """
import base64
with app.connection_for_write() as connection:
    producer = connection.Producer()
    for each in it:
        producer.publish(base64.b64decode(each["body"]), exchange="", routing_key="celery", headers=each["headers"],
                         content_type=each["content_type"], **each["properties"])
"""


@pytest.fixture
def working(fleet: Fleet) -> Iterator[Launched]:
    with fleet.worker("--threads", "2") as worker:
        yield worker


def unhurt(fleet: Fleet, worker: Launched, pids: list[int], trap: Any) -> None:
    """The same processes still work, and nothing was run that should not have been."""
    [record] = fleet.ended(fleet.celery("app.send_task('tasks.add', [20, 22]).id"))
    assert record.result == b"42"
    assert tree(worker.pid) == pids
    assert "Traceback" not in worker.printed()
    assert not trap.exists()
    [depth] = fleet.ask(lambda backends: backends.broker.depth(["celery"]))
    assert (depth.ready, depth.delayed or 0) == (0, 0)


def test_bad_messages_are_kept_with_the_reason_and_the_rest_goes_on(fleet: Fleet, working: Launched) -> None:
    trap = fleet.folder / "trap"
    pids = tree(working.pid)
    bad = hostile.messages(trap)
    fleet.celery(PUT, [each.order() for each in bad])
    letters = fleet.letters(len(bad))
    assert len(letters) == len(bad)
    by_id = {letter.task_id: letter for letter in letters if letter.task_id}
    for each in bad:
        letter = _letter_of(each, letters, by_id)
        assert letter.reason == each.reason, (each.what, letter)
        assert each.says in letter.detail, (each.what, letter)
        assert letter.message.body == each.body, each.what
        assert letter.message.properties["content_type"] == each.content_type
    named = [letter.task_id for letter in letters if letter.task_id]
    assert {record.state for record in fleet.ended(*named)} == {FAILURE}
    unhurt(fleet, working, pids, trap)
    assert len(fleet.runs()) == 1


def _letter_of(bad: hostile.Bad, letters: list[DeadLetter], by_id: dict[str, DeadLetter]) -> DeadLetter:
    found = by_id.get(bad.order()["headers"].get("id"))
    return found or next(each for each in letters if not each.task_id and bad.says in each.detail)


def test_odd_messages_are_run_all_the_same(fleet: Fleet, working: Launched) -> None:
    trap = fleet.folder / "trap"
    pids = tree(working.pid)
    made = [
        {
            "body": base64.b64encode(hostile.GOOD).decode(),
            "headers": {"task": "tasks.add", "id": f"odd: {what}", **headers},
            "content_type": "application/json",
            "properties": {"content_encoding": "utf-8"},
        }
        for what, headers in hostile.ODD.items()
    ]
    fleet.celery(PUT, made)
    records = fleet.ended(*(each["headers"]["id"] for each in made))  # type: ignore[index]
    assert [(record.state, record.result) for record in records] == [(SUCCESS, b"3")] * len(made)
    unhurt(fleet, working, pids, trap)


def test_values_that_cannot_be_stored_fail_their_task_only(fleet: Fleet, working: Launched) -> None:
    """A lone surrogate is legal in JSON's escapes, and in no UTF-8."""
    pids = tree(working.pid)
    body = base64.b64encode(b'[["\\ud800"], {"\\udfff": NaN}, {}]').decode()
    fine = {"content_type": "application/json", "properties": {"content_encoding": "utf-8"}}
    fleet.celery(PUT, [{"body": body, "headers": {"task": "tasks.echo", "id": "surrogates"}, **fine}])
    [record] = fleet.ended("surrogates")
    assert (record.state, result_of(record)["exc_type"]) == (FAILURE, "EncodingError")
    unhurt(fleet, working, pids, fleet.folder / "trap")


@pytest.fixture
def server(fleet: Fleet) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(fleet.broker)
    yield client
    client.close()


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_what_is_no_message_at_all_is_kept_as_it_is(fleet: Fleet, server: redis.Redis, working: Launched) -> None:
    trap = fleet.folder / "trap"
    pids = tree(working.pid)
    raw = hostile.raw(trap)
    for each in raw.values():
        server.lpush("celery", each)
    letters = fleet.letters(len(raw))
    expected = Counter(decode(each, "celery")[0].body for each in raw.values())
    assert Counter(letter.message.body for letter in letters) == expected
    unhurt(fleet, working, pids, trap)


@pytest.mark.parametrize("fleet", ["redis"], indirect=True)
def test_the_tags_of_strangers_lose_and_block_nothing(fleet: Fleet, server: redis.Redis) -> None:
    """Also not when a worker dies with them: what it held comes back."""
    messages = hostile.tags()
    server.lpush("celery", *messages.values())

    async def die(backends: Backends) -> tuple[int, int]:
        consumer = backends.broker.consume(["celery"], "lease|1")
        claimed = await consumer.fetch(100)
        await consumer.stop()
        return len(claimed), len(await backends.broker.release(["lease|1"]))

    assert fleet.ask(die) == (len(messages), len(messages))
    with fleet.worker():
        assert {record.result for record in fleet.ended(*messages)} == {b"3"}
    assert server.hlen("unacked") == server.zcard("unacked_index") == 0
