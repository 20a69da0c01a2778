"""JSON for the wire: kombu's typed forms, both ways, and what is refused."""

import json
import math
import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, HttpUrl

from penstock.core.encoding import dumps, loads
from penstock.core.errors import DecodingError, EncodingError
from penstock.core.plain import plain


class Colour(Enum):
    RED = "red"
    PAIR = (1, 2)


class Level(IntEnum):
    HIGH = 3


class Kind(StrEnum):
    CAT = "cat"


@dataclass
class Item:
    sku: str
    price: Decimal
    tags: list[str] = field(default_factory=list)


class Box(msgspec.Struct, rename="camel", tag="box"):
    item_count: int
    note: str | msgspec.UnsetType = msgspec.UNSET


class Row(msgspec.Struct, array_like=True):
    x: int
    y: int


class Order(BaseModel):
    placed: date
    items: list[int]


class Site(BaseModel):
    url: HttpUrl


class Mine:
    def __json__(self) -> dict[str, int]:
        return {"mine": 1}


Point = namedtuple("Point", "x y")  # noqa: PYI024 - the untyped kind must travel as well


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


# ------------------------------------------------------------------------------------------------------------- dumps


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (-1.5, "-1.5"),
        ("é\u2028", '"é\u2028"'),
        ((1, [2], ()), "[1,[2],[]]"),
        ({"y": 1, "z": None}, '{"y":1,"z":null}'),
        (2**64, "18446744073709551616"),
        (-(2**70), "-1180591620717411303424"),
        ([[2, 3], {}, {"chord": None}], '[[2,3],{},{"chord":null}]'),
        (datetime(2030, 1, 1, tzinfo=UTC), '{"__type__":"datetime","__value__":"2030-01-01T00:00:00+00:00"}'),
        (datetime(2030, 1, 1), '{"__type__":"datetime","__value__":"2030-01-01T00:00:00"}'),  # noqa: DTZ001
        (date(2030, 1, 1), '{"__type__":"date","__value__":"2030-01-01"}'),
        (time(1, 2), '{"__type__":"time","__value__":"01:02:00"}'),
        (Decimal("1.5"), '{"__type__":"decimal","__value__":"1.5"}'),
        (UUID(int=1), '{"__type__":"uuid","__value__":{"hex":"00000000000000000000000000000001"}}'),
        (b"text", '{"__type__":"bytes","__value__":"text"}'),
        (b"by\x7f\xff", '{"__type__":"base64","__value__":"Ynl//w=="}'),
        ({"__type__": "date", "mine": 1}, '{"__type__":"date","mine":1}'),
        ({7: "a", 2.5: "b", True: "c", None: "d"}, '{"7":"a","2.5":"b","true":"c","null":"d"}'),
        ({Kind.CAT: 1, Level.HIGH: 2}, '{"cat":1,"3":2}'),
        ([Colour.RED, Colour.PAIR, Level.HIGH, Kind.CAT], '["red",[1,2],3,"cat"]'),
        (OrderedDict(a=Point(1, 2)), '{"a":[1,2]}'),
        (
            Item("a", Decimal(1), ["t"]),
            '{"sku":"a","price":{"__type__":"decimal","__value__":"1"},"tags":["t"]}',
        ),
        ([Box(3), Box(3, "n")], '[{"type":"box","itemCount":3},{"type":"box","itemCount":3,"note":"n"}]'),
        (Row(1, 2), "[1,2]"),
        (
            {"order": Order(placed=date(2030, 1, 1), items=[1])},
            '{"order":{"placed":{"__type__":"date","__value__":"2030-01-01"},"items":[1]}}',
        ),
        (Site(url=HttpUrl("https://example.org/")), '{"url":"https://example.org/"}'),
        (Mine(), '{"mine":1}'),
    ],
)
def test_a_value_is_written_in_kombus_dialect(value: Any, text: str) -> None:
    assert dumps(value).decode() == text


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "value: NaN is not JSON"),
        ([1, {"items": [0, float("inf")]}], "value[1].items[1]: Infinity is not JSON"),
        ({"a": {"b c": -float("inf")}}, "value.a['b c']: -Infinity is not JSON"),
        ([{1, 2}], "value[0]: a set is not JSON; give a list"),
        ({"s": frozenset()}, "value.s: a set is not JSON; give a list"),
        (["ok", "\ud800"], "value[1]: a lone surrogate is not JSON"),
        ({"\udfff": 1}, "value: a lone surrogate is not JSON"),
        ([object()], "value[0]: object cannot travel as JSON"),
        ([timedelta(1)], "value[0]: timedelta cannot travel as JSON"),
        ([Item], "value[0]: the class Item cannot travel as JSON"),
        ({(1, 2): 1}, "value: a key of type tuple is not JSON"),
        ({UUID(int=1): 1}, "value: a key of type UUID is not JSON"),
        ({float("nan"): 1}, "value: NaN is not JSON"),
        ({"x": {1: "a", "1": "b"}}, "value.x: two keys would both be written as '1'"),
        (Item("a", Decimal(1), [float("nan")]), "value.tags[0]: NaN is not JSON"),  # type: ignore[list-item]
        ({"k" * 100: {1}}, f"value['{'k' * 57}…']: a set is not JSON; give a list"),
    ],
)
def test_what_cannot_travel_is_refused_with_its_path(value: Any, message: str) -> None:
    with pytest.raises(EncodingError) as caught:
        dumps(value)
    assert str(caught.value) == message


def test_the_root_of_the_path_can_be_named() -> None:
    with pytest.raises(EncodingError) as caught:
        dumps([{"items": [1, 2, float("nan")]}], where="args")
    assert str(caught.value) == "args[0].items[2]: NaN is not JSON"
    assert (caught.value.path, caught.value.reason) == ("args[0].items[2]", "NaN is not JSON")


def test_a_value_that_contains_itself_is_refused() -> None:
    ring: list[Any] = [1]
    ring.append({"again": ring})
    with pytest.raises(EncodingError, match=r"^value\[1\]\.again: it contains itself$"):
        dumps(ring)


def test_a_value_may_appear_twice() -> None:
    shared = [date(2030, 1, 1)]
    assert loads(dumps([shared, shared])) == [shared, shared]


def test_an_object_that_never_ends_is_refused() -> None:
    class Endless:
        def __json__(self) -> Any:
            return Endless()

    with pytest.raises(EncodingError, match="nested without an end"):
        dumps(Endless())


def test_an_integer_too_long_for_python_is_refused() -> None:
    with pytest.raises(EncodingError, match="digits"):
        dumps(10 ** (sys.get_int_max_str_digits() + 1))


@pytest.mark.parametrize("leaf", [0, {1: 1}, UUID(int=1)])
def test_exactly_64_levels_are_written_and_read_back(leaf: Any) -> None:
    height = {int: 0, dict: 1, UUID: 2}[type(leaf)]  # a UUID's typed form is two objects high
    fits: Any = leaf
    for _ in range(64 - height):
        fits = [fits]
    assert loads(dumps(fits)) is not None
    with pytest.raises(EncodingError, match=r"^value\[0\]\[0\]\[0\]\[0\]: nested deeper than 64 levels$"):
        dumps([fits])


def test_numbers_and_strings_of_subclasses_are_written_as_their_base() -> None:
    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:
            return "other"

    class Half(float):
        pass

    assert dumps([Text("it"), Half(0.5)]) == b'["it",0.5]'


# ------------------------------------------------------------------------------------------------------------- loads


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"__type__": "datetime", "__value__": "2030-01-01T00:00:00Z"}', datetime(2030, 1, 1, tzinfo=UTC)),
        (
            '{"__type__": "datetime", "__value__": "2030-01-01T00:00:00.5+02:00"}',
            datetime(2030, 1, 1, 0, 0, 0, 500_000, tzinfo=timezone(timedelta(hours=2))),
        ),
        ('{"__type__": "datetime", "__value__": "2030-01-01T00:00:00"}', datetime(2030, 1, 1)),  # noqa: DTZ001
        ('{"__type__": "date", "__value__": "2030-01-01"}', date(2030, 1, 1)),
        ('{"__type__": "date", "__value__": "2030-01-01T00:00:00"}', date(2030, 1, 1)),
        ('{"__type__": "time", "__value__": "01:02:00"}', time(1, 2)),
        ('{"__type__": "decimal", "__value__": "1.5"}', Decimal("1.5")),
        ('{"__type__": "uuid", "__value__": {"hex": "00000000000000000000000000000001"}}', UUID(int=1)),
        ('{"__type__": "bytes", "__value__": "text"}', b"text"),
        ('{"__type__": "base64", "__value__": "Ynl//w=="}', b"by\x7f\xff"),
        ('{"__type__": "colour", "__value__": 1}', {"__type__": "colour", "__value__": 1}),
        ('{"__type__": [1], "__value__": 1}', {"__type__": [1], "__value__": 1}),
        ('{"__type__": "date"}', {"__type__": "date"}),
        ('{"__type__": "date", "__value__": 1, "more": 1}', {"__type__": "date", "__value__": 1, "more": 1}),
        (r'{"\u005f_type__": "bytes", "__value__": "x"}', b"x"),
        (r'{"__t\u0079pe__": "bytes", "__value__": "x"}', b"x"),
        (r'{"__type__": "bytes", "\u005f_value__": "x"}', b"x"),
    ],
)
def test_typed_forms_are_revived_wherever_they_stand(text: str, value: Any) -> None:
    assert loads(text) == value
    assert type(loads(text)) is type(value)
    assert loads(f'[1, {{"a": [{text}], "b": null}}]') == [1, {"a": [value], "b": None}]


@pytest.mark.parametrize(
    "text",
    [
        '{"__type__": "datetime", "__value__": "yesterday"}',
        '{"__type__": "datetime", "__value__": 5}',
        '{"__type__": "date", "__value__": null}',
        '{"__type__": "decimal", "__value__": "one"}',
        '{"__type__": "decimal", "__value__": [1, [2], 3]}',
        '{"__type__": "uuid", "__value__": "00000000000000000000000000000001"}',
        '{"__type__": "uuid", "__value__": {"hex": "12"}}',
        '{"__type__": "uuid", "__value__": {"hex": 12}}',
        '{"__type__": "uuid", "__value__": {}}',
        '{"__type__": "base64", "__value__": "?"}',
        '{"__type__": "bytes", "__value__": "\\ud800"}',
    ],
)
def test_a_malformed_typed_form_is_an_error(text: str) -> None:
    with pytest.raises(DecodingError, match=r"^malformed [a-z0-9]+: "):
        loads(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"[1,]",
        b"[1",
        b"{]",
        b"[}",
        b"]",
        b"nul",
        b"1 2",
        b'"\xff"',
        b'"a\nb"',
        b"'a'",
        b'"\\',
        b"\xef\xbb\xbf1",
    ],
)
def test_malformed_text_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodingError) as caught:
        loads(data)
    assert str(caught.value).startswith("malformed JSON: ")
    assert len(str(caught.value)) < 200


def test_a_str_that_is_no_unicode_text_is_an_error() -> None:
    with pytest.raises(DecodingError):
        loads('"\ud800"')


def test_what_foreign_producers_write_is_read() -> None:
    assert loads(b'[Infinity, -Infinity, "\\ud800", 1e999]') == [float("inf"), -float("inf"), "\ud800", float("inf")]
    (nan,) = loads(b"[NaN]")
    assert math.isnan(nan)
    assert loads(b'[NaN, {"__type__": "decimal", "__value__": "2"}]')[1] == Decimal(2)
    assert loads(str(2**70)) == 2**70
    assert loads("-" + "9" * 60) == -int("9" * 60)
    with pytest.raises(DecodingError):
        loads("1" * (sys.get_int_max_str_digits() + 1))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: data.decode()])
def test_text_may_come_in_any_container(kind: Any) -> None:
    assert loads(kind('{"a": ["é"]}'.encode())) == {"a": ["é"]}


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"[" * 500_000 + b"]" * 500_000,
        b'[{"a":' * 100 + b"1" + b"}]" * 100,
        b'"' + b'\\"' * 500_000 + b"[" * 500_000,
    ],
)
def test_hostile_nesting_is_an_error_and_never_reaches_the_stack(data: bytes) -> None:
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)  # a decoder that went down would crash the process
    try:
        with pytest.raises(DecodingError) as caught:
            loads(data)
    finally:
        sys.setrecursionlimit(before)
    assert len(str(caught.value)) < 200


def test_depth_is_counted_exactly() -> None:
    assert loads(b"[" * 64 + b"]" * 64) == nested(64)
    assert loads(b"[" * 3 + b"]" * 3, max_depth=3) == nested(3)
    with pytest.raises(DecodingError, match="nested deeper than 64 levels"):
        loads(b"[" * 65 + b"]" * 65)
    with pytest.raises(DecodingError, match="nested deeper than 3 levels"):
        loads(b'[[{"a": []}]]', max_depth=3)


def test_brackets_in_strings_and_wide_values_are_not_depth() -> None:
    text = ["[" * 100, '"]\\[{"', {"[[[[": [[], {}] * 200}]
    assert loads(json.dumps(text)) == text


# ---------------------------------------------------------------------------------------------------------- together


def is_told_by_the_clock(value: datetime) -> bool:
    """Not in an hour that the clock skips or repeats: such a one equals nothing of another zone (PEP 495)."""
    return value.replace(fold=0).utcoffset() == value.replace(fold=1).utcoffset()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
typed_values = st.recursive(
    json_values
    | st.datetimes(timezones=st.none() | st.timezones()).filter(is_told_by_the_clock)
    | st.dates()
    | st.times()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(json_values)
def test_json_values_are_what_the_standard_library_reads_and_writes(value: Any) -> None:
    assert json.loads(dumps(value)) == value
    assert loads(json.dumps(value)) == value


@given(typed_values)
def test_typed_values_come_back_as_they_were(value: Any) -> None:
    assert loads(dumps(value)) == value
    assert plain(value, "value") == value


@given(st.binary() | st.text(alphabet='[]{}",:\\u0059_type1e-NanInfity \n').map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        value = loads(data)
    except DecodingError:
        return
    json.dumps(value, default=str)


def test_a_plain_value_is_passed_on_uncopied() -> None:
    value = [1, {"a": ["x", None, 1.5]}]
    assert plain(value, "value") is value


def test_a_plain_value_keeps_leaves_and_takes_objects_apart() -> None:
    class Stamp(datetime):
        pass

    value = [Item("a", Decimal(1)), Stamp(2030, 1, 1), Colour.RED, timedelta(minutes=1), {UUID(int=1): (1, 2)}]
    found = plain(value, "value")
    assert found == [
        {"sku": "a", "price": Decimal(1), "tags": []},
        datetime(2030, 1, 1),  # noqa: DTZ001
        "red",
        "PT60S",
        {str(UUID(int=1)): [1, 2]},
    ]
    assert type(found[1]) is datetime
