"""What back ends keep of a message besides its body and its queue."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from penstock.core.errors import EncodingError
from penstock.core.head import head_of, message_of
from penstock.core.message import Message
from penstock.core.protocol import encode_task, reopened, retry_of


def task(**options: Any) -> Message:
    given: dict[str, Any] = {"task": "add", "task_id": "id-1", "args": (2, "ä"), "kwargs": {"x": 1}, "queue": "default"}
    return encode_task(**(given | options))


def kept(message: Message) -> Message:
    return message_of(head_of(message), message.body, message.queue)


def test_of_most_messages_five_texts_are_kept() -> None:
    message = task()
    assert json.loads(head_of(message)) == ["add", "id-1", "(2, 'ä')", "{'x': 1}", message.headers["origin"]]
    assert kept(message) == message


def test_messages_do_not_share_what_they_are_read_into() -> None:
    first, second = kept(task()), kept(task())
    first.headers["stamps"]["x"] = first.headers["timelimit"][0] = 1
    assert second == task()


@pytest.mark.parametrize(
    "options",
    [
        {"shadow": "other"},
        {"eta": 1e9},
        {"expires": 1e9},
        {"group": "g", "group_index": 0},
        {"retries": 1},
        {"time_limit": 3.5},
        {"root_id": "root", "parent_id": "parent"},
        {"ignore_result": False},
        {"reply_to": "answers"},
        {"priority": 9},
        {"headers": {"mine": [1, {"a": None}]}},
    ],
)
def test_everything_else_is_kept_as_it_is(options: dict[str, Any]) -> None:
    message = task(**options)
    assert kept(message) == message
    assert head_of(message).startswith(b"[{")


@pytest.mark.parametrize(
    ("headers", "properties"),
    [
        ({"retries": False}, {}),
        ({"replaced_task_nesting": 0.0}, {}),
        ({"stamps": {"x": 1}}, {}),
        ({"argsrepr": None}, {}),
        ({"id": 7, "root_id": 7}, {"correlation_id": 7}),
        ({}, {"correlation_id": "other"}),
        ({}, {"priority": 0.0}),
        ({}, {"content_encoding": "binary"}),
    ],
)
def test_what_a_stranger_says_otherwise_is_kept_with_its_types(
    headers: dict[str, Any], properties: dict[str, Any]
) -> None:
    message = task()
    message.headers |= headers
    message.properties |= properties
    assert repr(kept(message)) == repr(message)


@pytest.mark.parametrize("name", ["task", "id", "root_id", "stamps"])
def test_what_a_stranger_leaves_out_stays_out(name: str) -> None:
    message = task(headers={"more": 1})
    del message.headers[name]
    assert kept(message) == message


def test_a_message_of_nothing_is_kept() -> None:
    assert kept(Message(b"x")) == Message(b"x")


def test_later_attempts_and_generations_are_kept() -> None:
    for message in (retry_of(task(), retries=1, due=1e9), reopened(task(), 1)):
        assert kept(message) == message


def test_a_priority_of_the_queue_alone_is_kept() -> None:
    message = task()
    message.priority = 3
    assert kept(message) == message


def test_heads_of_before_are_read() -> None:
    message = task(priority=3)
    assert message_of(json.dumps([message.headers, {}]).encode(), b"x", "q") == Message(b"x", message.headers, {}, "q")


@pytest.mark.parametrize("headers", [{"id": "\ud800", "root_id": "\ud800"}, {"stamps": {"x": {1}}}])
def test_what_cannot_be_kept_is_told(headers: dict[str, Any]) -> None:
    message = task()
    message.headers |= headers
    message.properties["correlation_id"] = message.headers["id"]
    with pytest.raises(EncodingError, match="message"):
        head_of(message)


def test_a_head_is_made_once_and_anew_for_another_message() -> None:
    message = task()
    assert head_of(message) is head_of(message)
    later = replace(message, due=5.0)
    assert later != message
    assert kept(later) == later
