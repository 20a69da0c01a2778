"""Arguments of tasks that only a worker knows, held against the JSON Schema that it registered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from msgspec import Meta

from penstock.api.fits import faults
from penstock.core.arguments import Arguments


@dataclass
class Item:
    name: str
    price: float


@dataclass
class Order:
    items: list[Item]
    note: str | None = None


def task(order: Order, count: Annotated[int, Meta(ge=1, le=9)] = 1, *, kind: Literal["a", "b"] = "a") -> None: ...


def others(when: datetime, ident: UUID, **rest: int) -> None: ...


ORDER = {"items": [{"name": "x", "price": 1.5}]}


@pytest.mark.parametrize(
    "arguments",
    [
        {"order": ORDER},
        {"order": {**ORDER, "note": None}, "count": 9, "kind": "b"},
        {"order": {"items": []}},
        {"order": {"items": [{"name": "x", "price": 1}]}},
    ],
)
def test_what_the_task_itself_would_take_fits_its_schema(arguments: dict[str, Any]) -> None:
    assert Arguments(task, task="t").check([], arguments)
    assert faults(Arguments(task, task="t").schema(), arguments) == {}


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({}, {"order"}),
        ({"order": 5}, {"order"}),
        ({"order": {"items": [{"name": "x"}]}}, {"order.items[0].price"}),
        (
            {"order": {"items": [{"name": "x", "price": "1"}, {"price": 1}]}},
            {"order.items[0].price", "order.items[1].name"},
        ),
        ({"order": ORDER, "count": 0}, {"count"}),
        ({"order": ORDER, "count": 10}, {"count"}),
        ({"order": ORDER, "count": True}, {"count"}),
        ({"order": ORDER, "count": 1.5}, {"count"}),
        ({"order": ORDER, "kind": "c"}, {"kind"}),
        ({"order": ORDER, "surplus": 1, "count": "x"}, {"surplus", "count"}),
        ({"order": {**ORDER, "note": 5}}, {"order.note"}),
    ],
)
def test_what_the_task_would_refuse_is_named_by_its_field(arguments: dict[str, Any], fields: set[str]) -> None:
    assert set(faults(Arguments(task, task="t").schema(), arguments)) == fields


def test_texts_with_a_format_are_looked_at() -> None:
    schema = Arguments(others, task="t").schema()
    good = {"when": "2026-01-31T12:00:00Z", "ident": "01936d4e-8c5b-7000-b3f1-6a5a7c1f0e2d", "more": 5}
    assert faults(schema, good) == {}
    assert set(faults(schema, {"when": "soon", "ident": "x", "more": "5"})) == {"when", "ident", "more"}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"const": 1}, 1, True),
        ({"enum": ["a", None]}, None, "b"),
        ({"type": ["string", "null"]}, None, 1),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "x", []),
        ({"oneOf": [{"type": "null"}, {"type": "object", "required": ["x"]}]}, {"x": 1}, {}),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2, 4),
        ({"prefixItems": [{"type": "integer"}], "items": False}, [1], [1, 2]),
        ({"items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, [1], [1, 2, 3]),
        ({"minItems": 1}, [1], []),
        ({"minLength": 2}, "ab", "a"),
        ({"maxLength": 2}, "ab", "abc"),
        ({"pattern": "^a+$"}, "aa", "b"),
        ({"exclusiveMinimum": 0}, 0.1, 0),
        ({"exclusiveMaximum": 1}, 0, 1),
        ({"multipleOf": 5}, 10, 11),
        (True, object, None),
    ],
)
def test_each_keyword_lets_the_right_in_and_keeps_the_wrong_out(schema: Any, good: Any, bad: Any) -> None:
    assert faults(schema, good) == {}
    if schema is not True:
        assert faults(schema, bad)


def test_references_go_to_definitions_even_in_circles() -> None:
    tree = {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}, "additionalProperties": False}
    schema = {"$ref": "#/$defs/tree", "$defs": {"tree": tree}}
    assert faults(schema, {"left": {"left": {}}}) == {}
    assert set(faults(schema, {"left": {"left": {"right": 1}}})) == {"left.left.right"}


def test_a_million_faults_are_told_as_a_hundred() -> None:
    assert len(faults({"items": {"type": "integer"}}, ["x"] * 1000)) == 100
