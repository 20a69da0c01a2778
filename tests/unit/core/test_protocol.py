"""Tasks to Celery messages and back (celery-protocol §1)."""

from __future__ import annotations

import bz2
import json
import lzma
import os
import re
import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from penstock.core.errors import BadMessage, EncodingError
from penstock.core.message import Message
from penstock.core.protocol import decode_task, encode_task, raw_arguments, reopened, retry_of

PLAIN = {"content_type": "application/json", "content_encoding": "utf-8"}


def encoded(**options: Any) -> Message:
    given: dict[str, Any] = {"task": "tasks.add", "task_id": "id-1", "args": (2, 3), "kwargs": {}, "queue": "default"}
    return encode_task(**(given | options))


def message(body: Any, headers: dict[str, Any] | None = None, **properties: Any) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Message(raw, {"task": "tasks.add", "id": "id-1"} if headers is None else headers, PLAIN | properties)


def sent(**headers: Any) -> Message:
    return message([[2, 3], {}, None], {"task": "tasks.add", "id": "id-1", **headers})


def refusal(bad: Message) -> BadMessage:
    with pytest.raises(BadMessage) as caught:
        decode_task(bad)
    return caught.value


# ------------------------------------------------------------------------------------------------------------- encoding


def test_a_message_has_exactly_celerys_headers() -> None:
    headers = encoded().headers
    origin = headers.pop("origin")
    assert headers == {
        "lang": "py",
        "task": "tasks.add",
        "id": "id-1",
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": "id-1",
        "parent_id": None,
        "argsrepr": "(2, 3)",
        "kwargsrepr": "{}",
        "ignore_result": None,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }
    assert re.fullmatch(rf"gen{os.getpid()}@.+", origin)


def test_a_message_has_exactly_celerys_properties() -> None:
    assert encoded(priority=6, reply_to="answers").properties == {
        "correlation_id": "id-1",
        "reply_to": "answers",
        "delivery_mode": 2,
        "priority": 6,
        "content_type": "application/json",
        "content_encoding": "utf-8",
    }


def test_expiry_travels_as_a_header_and_never_as_a_property() -> None:
    expiring = encoded(expires=1_900_000_000.0)
    assert expiring.headers["expires"] == "2030-03-17T17:46:40+00:00"
    assert "expiration" not in expiring.properties


def test_an_eta_is_a_header_for_celery_and_the_due_time_for_the_broker() -> None:
    delayed = encoded(eta=1_900_000_000.25)
    assert delayed.headers["eta"] == "2030-03-17T17:46:40.250000+00:00"
    assert delayed.due == 1_900_000_000.25


def test_the_body_is_args_kwargs_and_embed() -> None:
    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    assert json.loads(encoded(kwargs={"y": 1}).body) == [[2, 3], {"y": 1}, embed]


def test_limits_travel_hard_first() -> None:
    assert encoded(time_limit=60.0, soft_time_limit=50.0).headers["timelimit"] == [60.0, 50.0]


def test_a_users_headers_stand_beside_ours_and_never_instead_of_them() -> None:
    headers = encoded(headers={"x-tenant": "blue", "task": "evil"}).headers
    assert (headers["x-tenant"], headers["task"]) == ("blue", "tasks.add")


def test_what_cannot_travel_is_named_by_its_path() -> None:
    with pytest.raises(EncodingError, match=re.escape("args[1].price")):
        encoded(args=(1, {"price": float("nan")}))
    with pytest.raises(EncodingError, match="kwargs"):
        encoded(kwargs={"x": {1, 2}})


def test_the_shown_arguments_are_cut_at_1024_characters() -> None:
    headers = encoded(args=("x" * 5000,), kwargs={"y": list(range(10_000))}).headers
    assert len(headers["argsrepr"]) == len(headers["kwargsrepr"]) == 1024
    assert headers["argsrepr"].endswith("...")


# ------------------------------------------------------------------------------------------------------------- decoding


def test_what_was_encoded_is_decoded_again() -> None:
    request = decode_task(
        encoded(
            args=(2, Decimal("1.5"), datetime(2030, 1, 1, tzinfo=UTC)),
            kwargs={"z": [1]},
            queue="mail",
            priority=3,
            eta=1_900_000_000.0,
            expires=1_900_000_060.0,
            retries=2,
            time_limit=60,
            soft_time_limit=50,
            root_id="root",
            parent_id="parent",
            ignore_result=True,
            reply_to="answers",
            group="g",
            group_index=4,
            headers={"x-tenant": "blue"},
            shadow="Add",
        )
    )
    assert request.args == [2, Decimal("1.5"), datetime(2030, 1, 1, tzinfo=UTC)]
    assert request.kwargs == {"z": [1]}
    assert (request.id, request.task, request.queue, request.priority) == ("id-1", "tasks.add", "mail", 3)
    assert (request.eta, request.expires, request.retries) == (1_900_000_000.0, 1_900_000_060.0, 2)
    assert list(request.timelimit) == [60, 50]
    assert (request.root_id, request.parent_id) == ("root", "parent")
    assert (request.ignore_result, request.reply_to, request.group, request.group_index) == (True, "answers", "g", 4)
    assert (request.headers["x-tenant"], request.shadow, request.get("x-tenant")) == ("blue", "Add", "blue")
    assert request.correlation_id == "id-1"
    assert request.delivery_info["routing_key"] == "mail"


def test_a_message_with_nothing_but_a_name_and_an_id_is_enough() -> None:
    request = decode_task(message([[], {}, {}]))
    assert (request.retries, request.eta, request.root_id, request.parent_id) == (0, None, "id-1", None)
    assert (request.timelimit, request.ignore_result, request.generation) == ((None, None), None, 0)


@pytest.mark.parametrize("embed", [None, {}, []])
def test_an_embed_without_a_workflow_is_fine_in_any_form(embed: object) -> None:
    assert decode_task(message([[1], {}, embed])).embed == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2030-01-01T00:00:00", 1893456000.0),
        ("2030-01-01T00:00:00Z", 1893456000.0),
        ("2030-01-01T01:00:00+01:00", 1893456000.0),
        ("2030-01-01T00:00:00.5+00:00", 1893456000.5),
    ],
)
def test_times_are_read_with_any_offset_and_without_one_are_utc(text: str, seconds: float) -> None:
    assert decode_task(sent(eta=text)).eta == seconds


def test_amqps_own_timestamps_are_read_too() -> None:
    assert decode_task(sent(expires=datetime(2030, 1, 1, tzinfo=UTC))).expires == 1893456000.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timelimit", [1]),
        ("timelimit", "60"),
        ("timelimit", [1, "x"]),
        ("timelimit", [True, None]),
        ("timelimit", [-1, None]),
        ("eta", "tomorrow"),
        ("eta", 12),
        ("expires", "2030-13-01"),
        ("expires", "0001-01-01T00:00:00+14:00"),
        ("retries", -1),
        ("retries", "2"),
        ("retries", True),
        ("penstock_generation", 1.5),
        ("id", ""),
        ("id", 7),
        ("task", None),
    ],
)
def test_a_header_that_makes_no_sense_is_named(name: str, value: object) -> None:
    assert f"`{name}`" in str(refusal(sent(**{name: value})))


@pytest.mark.parametrize("body", [None, 42, "x", [], [1], [[], {}], [[], {}, {}, {}], {}, {"x": 1}])
def test_a_body_that_is_not_an_array_of_three_is_refused(body: object) -> None:
    assert refusal(message(body)).reason == "undecodable"


@pytest.mark.parametrize("body", [[{}, {}, None], [[], [], None], [None, {}, None], [[], None, None]])
def test_arguments_of_the_wrong_shape_are_refused(body: object) -> None:
    refusal(message(body))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[[],{},null] x"])
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    assert refusal(message(body)).reason == "undecodable"


@pytest.mark.parametrize(
    "kind", ["application/x-python-serialize", "application/x-yaml", "application/data", "text/x", "", None]
)
def test_other_content_types_are_refused_without_a_look_at_the_body(kind: str | None) -> None:
    found = refusal(message(b"cos\nsystem\n", content_type=kind))
    assert found.reason == "content-type"
    assert repr(kind) in str(found)


def test_headers_that_only_inform_are_passed_over_where_they_are_of_the_wrong_type() -> None:
    request = decode_task(sent(root_id=5, parent_id=[], group={}, group_index="x", ignore_result="yes"))
    assert (request.root_id, request.parent_id, request.group, request.ignore_result) == ("id-1", None, None, None)


# ---------------------------------------------------------------------------------------------------------- compression


@pytest.mark.parametrize(
    ("kind", "compress"),
    [
        ("application/x-gzip", zlib.compress),
        ("application/x-bz2", bz2.compress),
        ("application/x-lzma", lzma.compress),
    ],
)
def test_compressed_bodies_are_read(kind: str, compress: Any) -> None:
    body = compress(b'[[2, 3], {"y": 1}, null]')
    found = message(body, {"task": "t", "id": "i", "compression": kind})
    assert decode_task(found).args == [2, 3]
    assert raw_arguments(found) == (b"[2, 3]", b'{"y": 1}')
    assert refusal(message(body[:-5], found.headers)).reason == "compression"
    assert refusal(message(b"no such thing", found.headers)).reason == "compression"


@pytest.mark.parametrize(
    ("kind", "compress"), [("gzip", zlib.compress), ("bz2", bz2.compress), ("lzma", lzma.compress)]
)
def test_a_bomb_is_not_inflated(kind: str, compress: Any) -> None:
    headers = {"task": "t", "id": "i", "compression": f"application/x-{kind}"}
    assert "more than 10000000 bytes" in str(refusal(message(compress(b"0" * 30_000_000), headers)))


@pytest.mark.parametrize("kind", ["application/zstd", "application/x-brotli", "gzip", 7])
def test_other_compressions_are_refused_by_name(kind: object) -> None:
    found = refusal(message([[], {}, None], {"task": "t", "id": "i", "compression": kind}))
    assert found.reason == "compression"
    assert repr(kind) in str(found)


def test_a_body_over_the_limit_is_refused_uncompressed_too() -> None:
    with pytest.raises(BadMessage, match="the limit is 10"):
        decode_task(message([["x" * 100], {}, None]), max_body=10)


# ----------------------------------------------------------------------------------------------------------- protocol 1


def old(**fields: Any) -> Message:
    return message(
        {"task": "tasks.add", "id": "id-1", "args": [2, 3], "kwargs": {}, "retries": 0, **fields}, headers={}
    )


def test_protocol_1_is_understood() -> None:
    request = decode_task(
        old(
            eta="2026-11-20T20:15:31.842553+00:00",
            expires=None,
            utc=True,
            callbacks=[{"task": "tasks.log"}],
            timelimit=[60, None],
            taskset="g1",
            group="g2",
            retries=1,
        )
    )
    assert (request.id, request.task, request.args, request.retries) == ("id-1", "tasks.add", [2, 3], 1)
    assert request.eta == datetime(2026, 11, 20, 20, 15, 31, 842553, UTC).timestamp()
    assert (request.group, request.time_limit) == ("g1", 60)
    assert request.embed["callbacks"] == [{"task": "tasks.log"}]


def test_a_message_of_protocol_1_becomes_one_of_protocol_2() -> None:
    found = old(chord={"task": "tasks.sum"})
    decode_task(found)
    assert found.task_id == "id-1"
    assert raw_arguments(found) == (b"[2, 3]", b"{}")
    again = decode_task(retry_of(found, retries=1, due=None))
    assert (again.retries, again.embed["chord"]) == (1, {"task": "tasks.sum"})


@pytest.mark.parametrize("missing", [{}, {"args": None, "kwargs": None}])
def test_absent_arguments_of_protocol_1_are_empty(missing: dict[str, Any]) -> None:
    request = decode_task(message({"task": "t", "id": "i", **missing}, headers={}))
    assert (request.args, request.kwargs) == ([], {})


def test_in_the_hybrid_headers_win_over_the_body() -> None:
    hybrid = message({"task": "old", "id": "old", "args": [1], "retries": 1}, {"task": "new", "id": "i", "retries": 5})
    request = decode_task(hybrid)
    assert (request.task, request.id, request.retries, request.args) == ("new", "i", 5, [1])


def test_typed_values_survive_the_rewriting_of_protocol_1() -> None:
    typed = {"__type__": "decimal", "__value__": "1.5"}
    assert decode_task(old(args=[typed, {"__type__": "unheard-of"}])).args == [
        Decimal("1.5"),
        {"__type__": "unheard-of"},
    ]


@pytest.mark.parametrize("body", [{}, {"id": "x", "args": []}, [1], None, b'{"task": "t", "id": "i", "args": [NaN]}'])
def test_what_is_no_task_in_either_protocol_is_refused(body: object) -> None:
    refusal(message(body, headers={}))


# -------------------------------------------------------------------------------------------------------- next attempts


def test_a_retry_keeps_everything_but_its_count_and_time() -> None:
    headers = {
        "task": "t",
        "id": "i",
        "root_id": "r",
        "group": "g",
        "group_index": 1,
        "stamps": {"who": "me"},
        "x-unknown": {"deep": [1]},
        "timelimit": [5, None],
        "expires": "2030-01-01T00:00:00+00:00",
        "retries": 0,
        "redelivered": True,
    }
    embed = {"callbacks": [{"task": "c"}], "chain": [{"task": "d"}], "chord": {"task": "e"}, "odd": 1}
    before = message([[1], {}, embed], headers, reply_to="answers", expiration="60000", priority=3)
    before.queue, before.priority = "mail", 3
    after = retry_of(before, retries=1, due=1_900_000_000.0)
    wanted = {**headers, "retries": 1, "eta": "2030-03-17T17:46:40+00:00"}
    del wanted["redelivered"]
    assert after.headers == wanted
    assert after.body is before.body
    assert (after.queue, after.priority, after.due) == ("mail", 3, 1_900_000_000.0)
    assert after.properties == PLAIN | {"reply_to": "answers", "priority": 3}
    assert before.headers["retries"] == 0


def test_a_compressed_message_stays_compressed_when_it_is_retried() -> None:
    packed = message(zlib.compress(b"[[1],{},null]"), {"task": "t", "id": "i", "compression": "application/x-gzip"})
    decode_task(packed)
    assert decode_task(retry_of(packed, retries=1, due=None)).args == [1]
    assert decode_task(retry_of(packed, retries=1, due=None, body=b"[[2],{},null]")).args == [2]


def test_the_next_generation_starts_from_the_beginning_at_once() -> None:
    delayed = encoded(eta=1_900_000_000.0, expires=1_900_000_001.0, retries=3)
    request = decode_task(reopened(delayed, 2))
    assert (request.generation, request.retries, request.eta, request.expires) == (2, 0, None, None)
    assert reopened(delayed, 2).due is None
