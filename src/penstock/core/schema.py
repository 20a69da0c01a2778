"""Hints as JSON Schema 2020-12, for OpenAPI and for the dashboard's forms.

msgspec writes most of it; here are our stand-ins, pydantic's models, and one set of `$defs` for all. Pure functions.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import msgspec
from msgspec import inspect

from penstock.core.errors import EncodingError
from penstock.core.hints import Adapted, Choice, Members, Record, bare, stand_in
from penstock.core.plain import plain

_DEFINITIONS = "#/$defs/"


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an object. `many`: an array of such values, which may be left out."""

    name: str
    form: Any
    required: bool
    default: Any = None
    many: bool = False


def value_schema(form: Any) -> dict[str, Any]:
    """The schema of one value, from its hint's form."""
    schemas = _Schemas()
    (schema,) = schemas.add([form])
    return {**schema, **schemas.definitions()}


def object_schema(title: str, description: str, properties: Sequence[Property], others: Any = None) -> dict[str, Any]:
    """The schema of an object with these properties; `others` is the form of any other property, None if forbidden."""
    schemas = _Schemas()
    found = schemas.add([p.form for p in properties])
    (rest,) = schemas.add([others]) if others is not None else (False,)
    described = {"title": title, "description": description}
    return {
        **{word: text for word, text in described.items() if text},
        "type": "object",
        "properties": {p.name: _property(p, schema) for p, schema in zip(properties, found, strict=True)},
        "required": [p.name for p in properties if p.required],
        "additionalProperties": rest,
        **schemas.definitions(),
    }


def _property(described: Property, schema: dict[str, Any]) -> dict[str, Any]:
    if described.many:
        return {"type": "array", "items": schema}
    if described.required:
        return schema
    try:
        return {**schema, "default": _json(described.default)}
    except EncodingError:  # a sentinel that only the function understands
        return schema


class _Schemas:
    """Schemas that share one set of definitions."""

    def __init__(self) -> None:
        self._definitions: dict[str, Any] = {}
        self._records: dict[type, str] = {}

    def definitions(self) -> dict[str, Any]:
        return {"$defs": self._definitions} if self._definitions else {}

    def add(self, forms: Sequence[Any]) -> list[dict[str, Any]]:
        """A schema for each form; what they refer to is among the definitions afterwards."""
        schemas, components = msgspec.json.schema_components(
            forms, schema_hook=self._custom, ref_template=_DEFINITIONS + "{name}"
        )
        for form, schema in zip(forms, schemas, strict=True):
            _add_formats(inspect.type_info(form), schema, dict(components))
        return self._adopt(list(schemas), components)

    def _adopt(self, schemas: list[dict[str, Any]], components: dict[str, Any]) -> list[dict[str, Any]]:
        """Take the components in, under another name where another class has taken theirs."""
        renamed = {
            name: self._free(name, components)
            for name, component in components.items()
            if self._definitions.get(name, component) != component
        }
        for name, component in components.items():
            self._definitions[renamed.get(name, name)] = _redirected(component, renamed)
        return [_redirected(schema, renamed) for schema in schemas]

    def _custom(self, kind: type) -> dict[str, Any]:
        """The hook of msgspec for the classes that it does not know."""
        kind = stand_in(kind)
        if issubclass(kind, Choice):
            return {"anyOf": self.add([member.form for member in kind.members])}
        if issubclass(kind, Record):
            return self._record(kind)
        if issubclass(kind, Members):
            return {"title": kind.subject.__name__, "enum": [_json(member) for member in kind.subject]}
        if issubclass(kind, Adapted):
            return self._adapted(kind)
        return {"type": "string", "format": "path"} if issubclass(kind, PurePath) else {"title": kind.__name__}

    def _record(self, kind: type[Record]) -> dict[str, Any]:
        name = self._records.get(kind)
        if name is None:
            name = self._records[kind] = self._free(kind.subject.__name__)
            self._definitions[name] = {}  # kept for it: a field may refer to the record itself
            self._definitions[name] = self._object(kind, name)
        return _reference(name)

    def _object(self, kind: type[Record], title: str) -> dict[str, Any]:
        found = self.add([hint.form for hint in kind.hints.values()])
        return {
            "title": title,
            "type": "object",
            "properties": dict(zip(kind.hints, found, strict=True)),
            "required": [name for name, field in kind.fields.items() if field.required],
        }

    def _adapted(self, kind: type[Adapted]) -> dict[str, Any]:
        try:
            schema = kind.adapter.json_schema(ref_template=_DEFINITIONS + "{model}")
        except Exception:  # pydantic runs the user's code; what has no schema may still be checked
            return {"title": getattr(kind.subject, "__name__", str(kind.subject))}
        components = schema.pop("$defs", {})
        name = schema.get("title", "")
        if "properties" in schema and name.isidentifier() and name not in components:
            components[name], schema = schema, _reference(name)
        return self._adopt([schema], components)[0]

    def _free(self, name: str, components: Collection[str] = ()) -> str:
        names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
        return next(new for new in names if new not in self._definitions and new not in components)


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": _DEFINITIONS + name}


def _json(value: Any) -> Any:
    return msgspec.to_builtins(plain(value, "value"))


def _redirected(node: Any, renamed: dict[str, str]) -> Any:
    """`node` with its references to renamed definitions renamed."""
    if not renamed:
        return node
    if isinstance(node, dict):
        return {key: _redirected(item, renamed) for key, item in node.items()}
    if isinstance(node, list):
        return [_redirected(item, renamed) for item in node]
    if isinstance(node, str) and node.startswith(_DEFINITIONS):
        name = node.removeprefix(_DEFINITIONS)
        return _DEFINITIONS + renamed.get(name, name)
    return node


# -------------------------------------------------------------------------------------------------------- times in JSON


def _add_formats(info: inspect.Type, schema: Any, components: dict[str, Any]) -> None:
    """Say `date-time` and `time` where msgspec leaves it out, because a time without an offset is welcome, too.

    `components` are those still to be looked at.
    """
    info = bare(info)
    if isinstance(info, inspect.DateTimeType | inspect.TimeType) and schema.get("type") == "string":
        schema.setdefault("format", "time" if isinstance(info, inspect.TimeType) else "date-time")
    for part, place in _parts(info, schema, components):
        if isinstance(place, dict):
            _add_formats(part, place, components)


def _parts(info: Any, schema: dict[str, Any], components: dict[str, Any]) -> list[tuple[inspect.Type, Any]]:
    """The types that a type consists of, each with its place in the schema."""
    if hasattr(info, "fields"):
        component = components.pop(schema.get("$ref", "").removeprefix(_DEFINITIONS), {})
        properties = component.get("properties", {})
        return [(field.type, properties.get(field.encode_name)) for field in info.fields]
    if hasattr(info, "item_type"):
        return [(info.item_type, schema.get("items"))]
    if isinstance(info, inspect.DictType):
        return [(info.value_type, schema.get("additionalProperties"))]
    if isinstance(info, inspect.TupleType):
        return list(zip(info.item_types, schema.get("prefixItems", ()), strict=False))
    if isinstance(info, inspect.UnionType):
        return list(zip(sorted(info.types, key=_rank), _options(schema), strict=False))
    return []


def _rank(member: inspect.Type) -> int:
    """The order in which msgspec writes the members of a union: Structs together behind the others, None last."""
    return {inspect.StructType: 1, inspect.NoneType: 2}.get(type(bare(member)), 0)


def _options(schema: dict[str, Any]) -> list[Any]:
    """The schemas of a union's members; the Structs among them stand in an `anyOf` of their own."""
    nested = [_options(option) if "anyOf" in option else [option] for option in schema.get("anyOf", ())]
    return list(itertools.chain.from_iterable(nested))
