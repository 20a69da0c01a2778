"""AMQP's bytes: what is packed is what comes out."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from penstock.drivers.amqp import frames

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False) | some.text(),
    lambda inside: some.lists(inside, max_size=4) | some.dictionaries(some.text(max_size=60), inside, max_size=4),
    max_leaves=12,
)


@given(some.dictionaries(some.text(max_size=60), VALUES, max_size=6))
def test_headers_come_out_as_they_went_in(headers: dict[str, Any]) -> None:
    packed = frames.pack_properties({}, headers)
    _, _, found = frames.unpack_properties(b"\x00\x3c\x00\x00" + bytes(8) + packed)
    assert found == headers


#: messages as of a few programs: names that come again, values that mostly do
MANY = some.lists(
    some.sampled_from([("lang", "id", "eta"), ("lang", "id", "eta", "stamps"), ("id", "lang")]).flatmap(
        lambda names: some.fixed_dictionaries(
            {name: some.sampled_from(["py", None, 0, [None, None], {}, {"a": [1]}]) | VALUES for name in names}
        )
    ),
    max_size=12,
)


def _shape(value: Any) -> Any:
    """A value that tells True from 1, and an order of names from another."""
    if isinstance(value, dict):
        return [(key, _shape(each)) for key, each in value.items()]
    return [_shape(each) for each in value] if isinstance(value, list) else repr(value)


@given(MANY)
def test_a_table_is_the_same_whatever_came_before(many: list[dict[str, Any]]) -> None:
    layouts, seen = frames.Layouts(), []
    for headers in many:
        wire = b"before" + frames.pack_table(headers) + b"after"
        found, end = layouts.unpack(wire, 6)
        assert (_shape(found), end) == (_shape(headers), len(wire) - 5)
        seen.append(found)
    for found in seen:  # what is done to one does nothing to another
        for value in found.values():
            if isinstance(value, (dict, list)):
                value.clear()
    for headers in many:
        assert _shape(layouts.unpack(frames.pack_table(headers), 0)[0]) == _shape(headers)


@given(MANY, some.data())
def test_a_damaged_table_is_what_a_full_look_says(many: list[dict[str, Any]], data: some.DataObject) -> None:
    layouts = frames.Layouts()
    for headers in many:
        layouts.unpack(frames.pack_table(headers), 0)
        wire = bytearray(frames.pack_table(headers) + b"\0\0")
        for _ in range(data.draw(some.integers(1, 3))):
            wire[data.draw(some.integers(0, len(wire) - 1))] = data.draw(some.integers(0, 255))
        assert _read(layouts.unpack, bytes(wire)) == _read(frames.unpack_table, bytes(wire))


def _read(unpack: Callable[[bytes, int], Any], wire: bytes) -> Any:
    try:
        found, end = unpack(wire, 0)
    except (ValueError, IndexError, OverflowError, struct.error, OSError, ArithmeticError):
        return None
    return _shape(found), end


def test_a_program_of_ever_new_headers_is_read_without_being_remembered() -> None:
    layouts = frames.Layouts()
    for number in range(2 * frames.Layouts.MOST):
        headers = {f"x{number}": number, "id": "t"}
        assert layouts.unpack(frames.pack_table(headers), 0)[0] == headers


def test_a_name_that_stands_twice_has_its_last_value() -> None:
    layouts, field = frames.Layouts(), b"\x01at\x00" + b"\x01at\x01"
    for _ in range(3):
        assert layouts.unpack(len(field).to_bytes(4, "big") + field, 0)[0] == {"a": True}


@pytest.mark.parametrize("size", [6, 7, 11, 13])
def test_a_table_ends_where_it_says(size: int) -> None:
    wire = size.to_bytes(4, "big") + b"\x01aS\x00\x00\x00\x05hello"
    with pytest.raises((ValueError, IndexError, struct.error)):
        frames.unpack_table(wire, 0)


def test_every_property_comes_out_as_it_went_in() -> None:
    properties: dict[str, Any] = {name: "päckchen" for name, kind in frames.PROPERTIES if kind == "s"}
    properties |= {"delivery_mode": 2, "priority": 9, "timestamp": 1_700_000_000}
    packed = frames.pack_properties(properties, {"id": "t"})
    size, found, headers = frames.unpack_properties(b"\x00\x3c\x00\x00" + (77).to_bytes(8, "big") + packed)
    assert (size, found, headers) == (77, properties, {"id": "t"})


def test_unknown_and_empty_properties_are_left_out() -> None:
    assert frames.pack_properties({"body_encoding": "base64", "reply_to": None}, {}) == b"\x00\x00"


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (b"b\xff", -1),
        (b"B\xff", 255),
        (b"s\xff\xfe", -2),
        (b"u\xff\xfe", 65534),
        (b"I\xff\xff\xff\xff", -1),
        (b"i\xff\xff\xff\xff", 2**32 - 1),
        (b"L\xff\xff\xff\xff\xff\xff\xff\xff", -1),
        (b"f\x3f\xc0\x00\x00", 1.5),
        (b"x\x00\x00\x00\x02\xff\x00", b"\xff\x00"),
        (b"S\x00\x00\x00\x02\xff\xfe", b"\xff\xfe"),
        (b"T\x00\x00\x00\x00\x65\x53\xf1\x00", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        (b"D\x02\x00\x00\x00\x96", Decimal("1.50")),
    ],
)
def test_what_other_clients_write_is_read(wire: bytes, value: object) -> None:
    assert frames.unpack_value(wire, 0) == (value, len(wire))


@pytest.mark.parametrize(
    "value", [b"\xff\x00", Decimal("-1.5"), Decimal("1E+3"), datetime(2030, 1, 1, tzinfo=UTC), (1, "a")]
)
def test_typed_values_can_be_passed_on(value: object) -> None:
    found, _ = frames.unpack_value(frames.pack_value(value), 0)
    assert found == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize(
    "value", [2**63, {1, 2}, object(), Decimal("NaN"), Decimal("1E+999999"), Decimal("0.12345678901")]
)
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"bits|header"):
        frames.pack_value(value)


def test_a_name_has_at_most_255_bytes() -> None:
    assert frames.text(frames.name("ü" * 127), 0) == ("ü" * 127, 255)
    with pytest.raises(ValueError, match="256 bytes"):
        frames.name("ü" * 128)


@pytest.mark.parametrize("size", [0, 1, 100, 101, 199, 200, 250])
def test_a_body_is_cut_into_frames(size: int) -> None:
    sent = bytes(range(256))[:size]
    wire = frames.content(7, b"\x00\x00", sent, frame_max=108)
    found, at, kinds = b"", 0, []
    while at < len(wire):
        kind, channel, length = frames.HEAD.unpack_from(wire, at)
        assert (channel, wire[at + 7 + length : at + 8 + length]) == (7, frames.END)
        assert length + 8 <= 108
        found += wire[at + 7 : at + 7 + length] if kind == frames.BODY else b""
        kinds.append(kind)
        at += 8 + length
    assert (kinds[0], found) == (frames.HEADER, sent)


@pytest.mark.parametrize("wire", [b"", b"\x00\x3c\x00\x00", b"\x00\x3c\x00\x00" + bytes(8) + b"\xa0\x00\x05abc"])
def test_a_broken_header_is_an_error_of_its_own(wire: bytes) -> None:
    with pytest.raises(frames.Malformed):
        frames.unpack_properties(wire)
