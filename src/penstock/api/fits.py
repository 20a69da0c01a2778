"""Does a value fit a JSON Schema? For tasks that only a worker knows: it registered the schema of their arguments.

This is the part of JSON Schema 2020-12 that such schemas consist of. The full validators bring several compiled
packages for keywords that never occur here; a keyword that this one does not know lets the value pass, and the worker
looks at the arguments once more before it runs the task.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from penstock.core.plain import at

MOST = 100  # faults to tell of

Schema = Mapping[str, Any] | bool
Faults = Iterator[tuple[str, str]]

TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}

FORMATS: dict[str, Callable[[str], object]] = {
    "date-time": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "uuid": UUID,
}


def faults(schema: Schema, value: Any) -> dict[str, str]:
    """What is wrong with `value`: path → fault; empty if it fits."""
    root = schema if isinstance(schema, Mapping) else {}
    found: dict[str, str] = {}
    for path, fault in _Check(root.get("$defs", {})).value(schema, value, ""):
        found.setdefault(path, fault)
        if len(found) == MOST:
            break
    return found


class _Check:
    """One look at one value, with the definitions that references lead to."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self.definitions = definitions

    def value(self, schema: Schema, value: Any, path: str) -> Faults:
        if isinstance(schema, bool):
            if not schema:
                yield path, "not allowed here"
            return
        if "$ref" in schema:
            yield from self.value(self.definitions.get(schema["$ref"].rpartition("/")[2], True), value, path)
        if not _is_of(schema.get("type"), value):
            yield path, f"expected {_named(schema['type'])}, got {_type_of(value)}"
            return
        yield from self._whole(schema, value, path)
        if isinstance(value, str):
            yield from _text(schema, value, path)
        elif isinstance(value, dict):
            yield from self._object(schema, value, path)
        elif isinstance(value, list):
            yield from self._array(schema, value, path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield from _number(schema, value, path)

    def _whole(self, schema: Mapping[str, Any], value: Any, path: str) -> Faults:
        allowed = [schema["const"]] if "const" in schema else schema.get("enum")
        if allowed is not None and not any(_same(value, each) for each in allowed):
            yield path, f"must be one of {', '.join(map(repr, allowed))}"
        for part in schema.get("allOf", ()):
            yield from self.value(part, value, path)
        for word in ("anyOf", "oneOf"):
            if word in schema:
                yield from self._any(schema[word], value, path)

    def _any(self, choices: Sequence[Schema], value: Any, path: str) -> Faults:
        """The faults of the choice that was nearest: the one that got on best with the value."""
        found = [list(self.value(choice, value, path)) for choice in choices]
        if found and all(found):
            yield from min(found, key=lambda each: (each[0][0] == path, len(each)))

    def _object(self, schema: Mapping[str, Any], value: dict[str, Any], path: str) -> Faults:
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name in schema.get("required", ()):
            if name not in value:
                yield at(path, name), "missing"
        for name, item in value.items():
            if name in properties:
                yield from self.value(properties[name], item, at(path, name))
            elif others is False:
                yield at(path, name), "no such parameter" if not path else "no such field"
            else:
                yield from self.value(others, item, at(path, name))

    def _array(self, schema: Mapping[str, Any], value: list[Any], path: str) -> Faults:
        first, rest = schema.get("prefixItems", ()), schema.get("items", True)
        for index, item in enumerate(value):
            yield from self.value(first[index] if index < len(first) else rest, item, at(path, index))
        if len(value) < schema.get("minItems", 0):
            yield path, f"expected at least {schema['minItems']} items"
        if len(value) > schema.get("maxItems", len(value)):
            yield path, f"expected at most {schema['maxItems']} items"


def _is_of(kind: str | Sequence[str] | None, value: Any) -> bool:
    if kind is None:
        return True
    kinds = (kind,) if isinstance(kind, str) else kind
    return any(
        isinstance(value, TYPES.get(each, (object,))) and (each == "boolean" or not isinstance(value, bool))
        for each in kinds
    )


def _named(kind: str | Sequence[str]) -> str:
    return kind if isinstance(kind, str) else " or ".join(kind)


def _type_of(value: Any) -> str:
    return next(name for name, kinds in TYPES.items() if isinstance(value, kinds))


def _same(one: Any, other: Any) -> bool:
    """JSON's equality: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


def _text(schema: Mapping[str, Any], value: str, path: str) -> Faults:
    if len(value) < schema.get("minLength", 0):
        yield path, f"expected at least {schema['minLength']} characters"
    if len(value) > schema.get("maxLength", len(value)):
        yield path, f"expected at most {schema['maxLength']} characters"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        yield path, f"does not match {schema['pattern']!r}"
    try:
        FORMATS.get(schema.get("format", ""), str)(value)
    except ValueError:
        yield path, f"is not a {schema['format']}"


def _number(schema: Mapping[str, Any], value: float, path: str) -> Faults:
    if value < schema.get("minimum", value):
        yield path, f"must be {schema['minimum']} or more"
    if value > schema.get("maximum", value):
        yield path, f"must be {schema['maximum']} or less"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield path, f"must be more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield path, f"must be less than {schema['exclusiveMaximum']}"
    if "multipleOf" in schema and value % schema["multipleOf"] != 0:
        yield path, f"must be a multiple of {schema['multipleOf']}"
