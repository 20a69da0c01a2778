"""Whatever a stranger sends, decoding it ends in a request or in BadMessage, and nothing else."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.brokers.redis.envelope import decode, marked
from penstock.core.errors import BadMessage
from penstock.core.message import Message
from penstock.core.protocol import RESERVED, decode_task, raw_arguments, retry_of

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["tasks.add", "id"])
)
_VALUES: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=10) | st.sampled_from(["__type__", "__value__", "args", "task"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
_NAMES = st.sampled_from(sorted(RESERVED)) | st.text(max_size=10)
_HEADERS = st.dictionaries(_NAMES, _VALUES, max_size=8)
_TYPED = st.fixed_dictionaries(
    {
        "__type__": st.sampled_from(["datetime", "date", "time", "decimal", "uuid", "bytes", "base64", "x"]),
        "__value__": _VALUES,
    }
)
_BODIES = (
    st.binary(max_size=200)
    | st.builds(lambda value: json.dumps(value).encode(), _VALUES)
    | st.builds(lambda value: json.dumps([[value], {}, {}]).encode(), _TYPED | _VALUES)
    | st.builds(lambda *parts: json.dumps(parts).encode(), _VALUES, _VALUES, _VALUES)
    | st.builds(lambda value: json.dumps(value).encode(), _HEADERS)
)


@given(
    body=_BODIES,
    headers=_HEADERS,
    kind=st.just("application/json") | _SCALARS,
    task=st.just("tasks.add") | _VALUES,
    task_id=st.just("id") | _VALUES,
)
def test_a_message_is_a_request_or_a_bad_message(body: bytes, headers: Any, kind: Any, task: Any, task_id: Any) -> None:
    message = Message(body, {"task": task, "id": task_id, **headers}, {"content_type": kind}, "celery")
    with contextlib.suppress(BadMessage):
        raw_arguments(message)
    try:
        request = decode_task(message, 10_000)
    except BadMessage:
        return
    assert request.task
    assert request.id == message.task_id != ""
    assert isinstance(request.args, list)
    assert isinstance(request.kwargs, dict)
    retry_of(message, retries=1, due=1e9)


@pytest.mark.parametrize("inside", [b"%b", b"[[%b], {}, {}]", b'{"task": "t", "id": "i", "args": [%b]}'])
def test_depth_is_refused_before_it_costs_the_stack(inside: bytes) -> None:
    body = inside % (b"[" * 200_000 + b"]" * 200_000)
    message = Message(body, {}, {"content_type": "application/json"}, "celery")
    for read in (decode_task, raw_arguments):
        with pytest.raises(BadMessage):
            read(message)


_ENVELOPES = st.fixed_dictionaries(
    {},
    optional={
        "body": st.just("W1tdLCB7fSwge31d") | _VALUES,
        "headers": _HEADERS | _VALUES,
        "properties": _VALUES
        | st.fixed_dictionaries(
            {},
            optional={
                "delivery_tag": _VALUES,
                "delivery_info": _VALUES,
                "body_encoding": st.just("base64") | _VALUES,
                "priority": _VALUES,
            },
        ),
        "content-type": _VALUES,
        "content-encoding": _VALUES,
    },
)


@given(st.binary(max_size=200) | st.builds(lambda value: json.dumps(value).encode(), _ENVELOPES | _VALUES))
def test_an_item_of_a_list_is_a_message_whatever_it_is(raw: bytes) -> None:
    message, redelivered = decode(raw, "celery")
    assert message.queue == "celery"
    assert isinstance(message.body, bytes)
    assert isinstance(message.headers, dict)
    assert isinstance(message.priority, int)
    assert isinstance(redelivered, bool)
    assert isinstance(marked(raw), bytes)
    assert decode(marked(raw), "celery")[0].body in {message.body, marked(raw)}
