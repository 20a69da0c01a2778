"""kombu's envelope, and what is none."""

from __future__ import annotations

import json
import time

import pytest

from penstock.brokers.redis.envelope import Tags, decode, encode, handle, level, marked, published_at
from penstock.core.message import Message
from penstock.core.protocol import encode_task

KOMBU = (
    b'{"body": "W1syLCAzXSwge30sIHt9XQ==", "content-encoding": "utf-8", "content-type": "application/json", '
    b'"headers": {"lang": "py", "task": "tasks.add", "id": "t", "eta": "2030-01-01T00:00:00+00:00"}, "properties": '
    b'{"correlation_id": "t", "reply_to": "r", "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": '
    b'"celery"}, "priority": 6, "body_encoding": "base64", "delivery_tag": "1f21f4c2-c439-4fdf-9786-15304bfaf5bc"}}'
)


def test_kombus_own_envelope_is_read() -> None:
    message, redelivered = decode(KOMBU, "celery")
    assert (message.body, message.task_id, message.queue, message.priority) == (b"[[2, 3], {}, {}]", "t", "celery", 6)
    assert message.properties == {
        "correlation_id": "t",
        "reply_to": "r",
        "delivery_mode": 2,
        "priority": 6,
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }
    assert not redelivered


def test_ours_has_what_kombu_needs_and_begins_with_its_tag() -> None:
    sent = Message(b"[]", {"id": "t"}, {"content_type": "application/json", "priority": 3}, "celery", 3)
    raw = encode(sent, "tag")
    assert raw.startswith(b'{"properties":{"delivery_tag":"tag"')
    found = json.loads(raw)
    assert found["content-type"] == "application/json"
    assert found["properties"]["delivery_info"] == {"exchange": "", "routing_key": "celery"}
    assert (found["properties"]["body_encoding"], found["properties"]["priority"]) == ("base64", 3)


@pytest.mark.parametrize("args", [[], [1, '100 % @ \u00fc "quoted"']])
def test_a_usual_message_has_the_envelope_that_it_would_have_if_it_were_not(args: list[object]) -> None:
    usual, other = (
        encode_task(task="shop.\u00fc", task_id="0193", args=args, kwargs={"x": "@"}, queue="a b", headers=more)
        for more in ({}, {"more": 1})
    )
    found, wanted = json.loads(encode(usual, "tag~1")), json.loads(encode(other, "tag~1"))
    del wanted["headers"]["more"]
    assert found == wanted
    assert decode(encode(usual, "tag~1"), "a b") == (usual, False)


@pytest.mark.parametrize("raw", [encode(Message(b"[]", {"id": "t"}, {}, "q"), "tag"), KOMBU])
def test_a_mark_shows_and_leaves_the_message_as_it_was(raw: bytes) -> None:
    again = marked(raw)
    assert decode(again, "q") == (decode(raw, "q")[0], True)
    assert json.loads(again)["headers"]["redelivered"] is True


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"42", b"[]", b"{}", b"\xff", b'{"properties": {}, "body": 1}', KOMBU.replace(b"W1", b"*")]
)
def test_what_is_no_envelope_is_a_raw_message(raw: bytes) -> None:
    assert decode(raw, "q") == (Message(raw, queue="q"), False)
    assert marked(raw) == raw or raw.startswith(b'{"body')


def test_tags_differ_and_tell_task_and_time() -> None:
    tags = Tags(time.time)
    one, two = tags.new("t"), tags.new("t")
    assert one != two
    assert one.startswith("t~")
    assert abs((published_at(one) or 0) - time.time()) < 5
    assert published_at("1f21f4c2-c439-4fdf-9786-15304bfaf5bc") is None


def test_a_handle_needs_no_escapes() -> None:
    assert handle("01936d4e-8c5b-7000-b3f1-6a5a7c1f0e2d") == "01936d4e-8c5b-7000-b3f1-6a5a7c1f0e2d"
    odd = handle('a "quoted" id')
    assert odd.isascii()
    assert '"' not in odd
    assert handle("") == ""


def test_levels_go_to_our_lanes_or_to_kombus_lists() -> None:
    assert [level(priority, celery=False) for priority in (0, 2, 3, 6, 9)] == ["0", "0", "3", "6", "9"]
    assert [level(priority, celery=True) for priority in (0, 2, 3, 6, 9)] == ["0", "0", "a", "b", "c"]
