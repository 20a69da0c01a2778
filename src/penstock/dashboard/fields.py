"""From a task's argument schema to the fields of a form, and from what was filled in to arguments.

What the server refuses is shown at its field, in the server's words; a field whose text is no number goes as the text
that it is, so that the server says what it expected. Anything that has no input of its own is written as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.dashboard import view

Schema = Mapping[str, Any]
Kind = Literal["text", "integer", "number", "yes-no", "choice", "json"]

SIMPLE: dict[str, Kind] = {"string": "text", "integer": "integer", "number": "number", "boolean": "yes-no"}


@dataclass(frozen=True)
class Field:
    """One argument, or one option, as it is asked for."""

    name: str
    kind: Kind
    required: bool
    hint: str = ""  #: what it takes, in words
    about: str = ""
    default: str = ""  #: the text of the default, for the eye only
    choices: tuple[str, ...] = ()  #: as JSON
    nullable: bool = False

    def text(self, value: Any) -> str:
        """What to fill in for a value."""
        if self.kind == "text" and isinstance(value, str):
            return value
        return view.text_of(value, 2 if self.kind == "json" and isinstance(value, list | dict) else None)

    def value(self, text: str) -> Any:
        """What was meant by a text."""
        if self.kind == "text":
            return text
        try:
            return json.loads(text, parse_constant=str)
        except ValueError:
            return text


class Absent:
    """Stands for a field that was left empty: its argument is not given."""


ABSENT = Absent()


class Form:
    """The fields for the arguments of one task, by name."""

    def __init__(self, schema: Schema, components: Mapping[str, Schema]) -> None:
        self.about = str(schema.get("description", ""))
        required = schema.get("required", ())
        properties = schema.get("properties", {})
        self.fields = [_field(name, each, name in required, components) for name, each in properties.items()]
        self.others = schema.get("additionalProperties", True) is not False

    def filled(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        """The texts for these arguments."""
        return {field.name: field.text(arguments[field.name]) for field in self.fields if field.name in arguments}

    def arguments(self, sent: Mapping[str, str]) -> dict[str, Any]:
        """The arguments that were meant; those left empty are not given unless they have to be texts."""
        found = {field.name: _meant(field, sent.get(f"arg.{field.name}", "")) for field in self.fields}
        return {name: value for name, value in found.items() if value is not ABSENT}

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Arguments as they were given, by name; None where there is no name for one of them."""
        names = [field.name for field in self.fields]
        if len(args) > len(names):
            return None
        named = {**dict(zip(names, args, strict=False)), **kwargs}
        return named if named.keys() <= set(names) and len(named) == len(args) + len(kwargs) else None


def faults_by_field(errors: Sequence[tuple[str, str]], names: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Faults by the field that they are of, and those of none: "items[0].price" is of "items"."""
    found: dict[str, list[str]] = {}
    others = []
    for place, message in errors:
        name = max((each for each in names if _within(place, each)), key=len, default=None)
        if name is None:
            others.append(f"{place}: {message}" if place else message)
        else:
            rest = place[len(name) :]
            found.setdefault(name, []).append(f"{rest}: {message}" if rest else message)
    return found, others


def _within(place: str, name: str) -> bool:
    return place == name or place.startswith((f"{name}.", f"{name}["))


def _meant(field: Field, text: str) -> Any:
    if text or (field.kind == "text" and field.required and not field.nullable):
        return field.value(text)
    return ABSENT


def _field(name: str, schema: Schema, required: bool, components: Mapping[str, Schema]) -> Field:
    plain, nullable = _without_null(_resolved(schema, components))
    plain = {**plain, **{word: schema[word] for word in ("default", "description") if word in schema}}
    choices = plain.get("enum") or ([plain["const"]] if "const" in plain else [])
    kind: Kind = SIMPLE.get(str(plain.get("type")), "json")
    return Field(
        name=name,
        kind="choice" if choices else kind,
        required=required,
        hint=_hint(plain, nullable) if not choices else "one of these",
        about=str(plain.get("description", "")),
        default=view.clip(view.text_of(schema["default"])) if "default" in schema else "",
        choices=tuple(view.text_of(each) for each in choices),
        nullable=nullable,
    )


def _resolved(schema: Schema, components: Mapping[str, Schema]) -> Schema:
    reference = schema.get("$ref")
    return components.get(str(reference).rpartition("/")[2], {}) if reference else schema


def _without_null(schema: Schema) -> tuple[Schema, bool]:
    """A schema of something or null, without the null."""
    kinds = schema.get("type")
    if isinstance(kinds, list) and "null" in kinds:
        rest = [kind for kind in kinds if kind != "null"]
        return {**schema, "type": rest[0] if len(rest) == 1 else rest}, True
    choices = schema.get("anyOf", ())
    rest = [each for each in choices if each.get("type") != "null"]
    if len(rest) < len(choices):
        only = rest[0] if len(rest) == 1 else {"anyOf": rest}
        return {**only, **{word: schema[word] for word in ("default", "description") if word in schema}}, True
    return schema, False


def _hint(schema: Schema, nullable: bool) -> str:
    kind = schema.get("format") or schema.get("type") or ("any of several" if "anyOf" in schema else "anything")
    word = "/".join(kind) if isinstance(kind, list) else str(kind)
    bounds = [f"{sign} {schema[name]}" for name, sign in _BOUNDS if name in schema]
    return ", ".join([word, *bounds, *(["or null"] if nullable else [])])


_BOUNDS = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
