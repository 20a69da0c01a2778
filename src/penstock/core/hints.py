"""One type hint as a contract: which values fit it, and how they are rebuilt from what JSON left of them.

msgspec does the work. What it does not take by itself (a union of str and datetime, an Enum of tuples, pydantic's
models) is replaced in the hint by a stand-in class of ours, which it calls back. A hint that cannot be read at all
counts as Any. pydantic is never imported here: whoever named its models in a hint has imported it already.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import functools
import operator
import sys
import types
import typing
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Self, cast, get_args, get_origin
from uuid import UUID

import msgspec
from msgspec import inspect


class Hint:
    """A type hint, compiled once. Values come to it as plain values (see `plain`)."""

    def __init__(self, hint: Any, seen: dict[Any, Any] | None = None) -> None:
        form = _prepared(hint, {} if seen is None else seen)
        info = _info(form)
        #: The hint as msgspec takes it.
        self.form: Any = form if info else Any
        #: Exact classes whose every instance fits and needs no rebuilding; None if that is every class.
        self.accept: frozenset[type] | None = _accepted(info) if info else None
        #: True if what JSON gives is already what the hint says.
        self.as_is: bool = info is None or _as_is(info)

    def takes(self, value: Any) -> bool:
        """True if `value` fits as it is, seen at a glance. False says nothing."""
        return self.accept is None or type(value) in self.accept

    def convert(self, value: Any) -> Any:
        """The plain `value` as the hint's type. Raises msgspec.ValidationError, or what the type's own code raises."""
        try:
            return msgspec.convert((value,), self._box, dec_hook=call_back, str_keys=True).value
        except msgspec.ValidationError:
            return msgspec.convert(value, self.form, dec_hook=call_back, str_keys=True)  # for a path without the box

    @functools.cached_property
    def _box(self) -> Any:
        # msgspec keeps what it has worked out about a hint with a class only; for a bare hint it starts anew each time.
        return msgspec.defstruct("Box", [("value", self.form)], array_like=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of a class: what its constructor calls it, its hint, and whether it must be given."""

    name: str
    hint: Any
    required: bool


def fields(kind: Any) -> dict[str, Field]:
    """The fields of a dataclass, Struct or TypedDict by their names on the wire; empty for anything else."""
    if not isinstance(kind, type):
        return {}
    if issubclass(kind, msgspec.Struct):
        return {f.encode_name: Field(f.name, f.type, f.required) for f in msgspec.structs.fields(kind)}
    if typing.is_typeddict(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        return {name: Field(name, _unmarked(hint), name in _required(kind)) for name, hint in hints.items()}
    if not dataclasses.is_dataclass(kind):
        return {}
    hints = typing.get_type_hints(kind, include_extras=True)
    bare = dataclasses.MISSING
    return {
        f.name: Field(f.name, hints[f.name], f.default is bare and f.default_factory is bare)
        for f in dataclasses.fields(kind)
        if f.init
    }


def _required(kind: Any) -> frozenset[str]:
    return frozenset(kind.__required_keys__)


def _unmarked(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) in {typing.Required, typing.NotRequired} else hint


# ----------------------------------------------------------------------------------------------------------- stand-ins


class _Anything(type):
    """What a stand-in makes is an instance of what it stands for, not of itself; msgspec asks all the same."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return True


class StandIn(metaclass=_Anything):
    """Takes the place of a type that msgspec does not take. Each use is a subclass with the particulars."""

    @classmethod
    def of(cls, **particulars: Any) -> type[Self]:
        return cast(type[Self], _Anything(cls.__name__, (cls,), particulars))

    @classmethod
    def convert(cls, value: Any) -> Any:
        """The plain `value` as the type stood for. Raises ValueError or TypeError if it does not fit."""
        raise NotImplementedError


class Choice(StandIn):
    """A union. A value that is what it should be already wins; then the first member that knows all its fields."""

    members: ClassVar[tuple[Hint, ...]]
    names: ClassVar[str]

    @classmethod
    def convert(cls, value: Any) -> Any:
        if any(member.takes(value) for member in cls.members):
            return value
        for member in sorted(cls.members, key=functools.partial(_strangers, value)):
            try:
                return member.convert(value)
            except (TypeError, ValueError):
                continue
        raise ValueError(f"expected {cls.names}, got {type(value).__name__}")


def _strangers(value: Any, member: Hint) -> int:
    """How many fields of `value` the class `member` has no place for: they would be dropped."""
    kind = member.form
    if isinstance(value, dict) and isinstance(kind, type):
        model = getattr(kind, "subject", kind)
        names = fields(model) or _model_names(model)
        return len(value.keys() - names) if names else 0
    return 0


def _model_names(model: Any) -> set[str]:
    declared = getattr(model, "model_fields", {})
    return {*declared, *(field.alias for field in declared.values() if field.alias)}


class Record(StandIn):
    """A dataclass, Struct or TypedDict with a field that needs a stand-in itself."""

    subject: ClassVar[Any]
    fields: ClassVar[dict[str, Field]]
    hints: ClassVar[dict[str, Hint]]

    @classmethod
    def convert(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise TypeError(f"expected object, got {type(value).__name__}")
        for name, field in cls.fields.items():
            if field.required and name not in value:
                raise ValueError(f"missing required field `{name}`")
        given = {cls.fields[name].name: cls.hints[name].convert(value[name]) for name in cls.fields if name in value}
        return cls.subject(**given)


class Adapted(StandIn):
    """A pydantic model, or a hint with pydantic's constraints: pydantic decides, by its own rules.

    Where there are only constraints, on top of a type of ours, that type is held to our strictness first.
    """

    subject: ClassVar[Any]
    adapter: ClassVar[Any]
    base: ClassVar[Hint | None]

    @classmethod
    def convert(cls, value: Any) -> Any:
        if cls.base is not None:
            value = cls.base.convert(value)
        # A model travels by the names of its fields (`model_dump`); HTTP clients see its aliases in the schema.
        return cls.adapter.validate_python(value, by_alias=True, by_name=True)


class Members(StandIn):
    """An Enum whose values are neither all str nor all int."""

    subject: ClassVar[type[Enum]]

    @classmethod
    def convert(cls, value: Any) -> Any:
        return cls.subject(value)


def stand_in(kind: type) -> type:
    """The stand-in for one of pydantic's classes, which msgspec meets in the fields of others; else the class."""
    return (_model(kind) if _is_model(kind) else None) or kind


def call_back(kind: type, value: Any) -> Any:
    """The hook of msgspec for the classes that it does not know."""
    kind = stand_in(kind)
    if issubclass(kind, StandIn):
        return kind.convert(value)
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    return value  # msgspec refuses it, naming the class


# --------------------------------------------------------------------------------------------------- preparing a hint

#: What the origin of a union may be.
UNIONS = (typing.Union, types.UnionType)
CONTAINERS = {
    *(list, tuple, set, frozenset, dict),
    *(collections.abc.Collection, collections.abc.Iterable, collections.abc.Sequence, collections.abc.MutableSequence),
    *(collections.abc.Set, collections.abc.MutableSet, collections.abc.Mapping, collections.abc.MutableMapping),
}


def _info(hint: Any) -> inspect.Type | None:
    """What msgspec makes of a hint; None if it refuses it."""
    try:
        return inspect.type_info(hint)
    except Exception:  # the hint is the user's own; whatever reading it raises, it cannot be checked
        return None


def _prepared(hint: Any, seen: dict[Any, Any]) -> Any:
    """`hint` with stand-ins where msgspec needs them, and Any for what cannot be checked.

    `seen` holds the stand-ins for classes on the way here, which may name themselves.
    """
    hint = getattr(hint, "__supertype__", getattr(hint, "__value__", hint))  # of a NewType, of `type X = …`
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(hint, args, seen)
    if origin in UNIONS:
        return _union(args, seen)
    if origin in CONTAINERS and args:
        return origin[tuple(arg if arg is ... else _prepared(arg, seen) for arg in args)]
    if isinstance(hint, type) and origin is None:
        return _class(hint, seen)
    return Any if isinstance(_info(hint), inspect.CustomType) else hint


def _class(kind: type, seen: dict[Any, Any]) -> Any:
    if kind in seen:
        return seen[kind]
    if _is_model(kind):
        return _model(kind) or Any
    info = _info(kind)
    if isinstance(info, inspect.CustomType):
        return kind if issubclass(kind, PurePath) else Any
    if info is not None and not _constrained(kind, set()):
        return kind
    if issubclass(kind, Enum):
        return Members.of(subject=kind)
    return _record(kind, seen)


def _record(kind: type, seen: dict[Any, Any]) -> Any:
    found = _readable_fields(kind)
    if not found:
        return Any
    seen[kind] = record = Record.of(subject=kind, fields=found, hints={})
    record.hints.update({name: Hint(field.hint, seen) for name, field in found.items()})
    return record


def _readable_fields(kind: Any) -> dict[str, Field]:
    try:
        return fields(kind)
    except Exception:  # as in `_info`: the class's own hints may raise anything when they are looked up
        return {}


def _constrained(hint: Any, seen: set[type]) -> bool:
    """True if pydantic's constraints stand somewhere in the fields of a class: msgspec would pass over them."""
    if get_origin(hint) is Annotated and any(map(_is_pydantics, hint.__metadata__)):
        return True
    if isinstance(hint, type) and hint not in seen:
        seen.add(hint)
        return any(_constrained(field.hint, seen) for field in _readable_fields(hint).values())
    return any(_constrained(arg, seen) for arg in get_args(hint))


def _union(args: tuple[Any, ...], seen: dict[Any, Any]) -> Any:
    forms = [_prepared(arg, seen) for arg in args]
    if any(form is Any for form in forms):
        return Any
    union = functools.reduce(operator.or_, forms)
    if _info(union):
        return union
    given = [arg for arg in args if arg is not type(None)]
    names = " or ".join(arg.__name__ if isinstance(arg, type) else str(arg) for arg in given)
    choice = Choice.of(members=tuple(Hint(arg, seen) for arg in given), names=names)
    return choice | None if type(None) in args else choice


def _annotated(hint: Any, args: tuple[Any, ...], seen: dict[Any, Any]) -> Any:
    base, *marks = args
    if any(map(_is_pydantics, marks)):
        constraints = all(_home(mark) == "annotated_types" or type(mark).__name__ == "FieldInfo" for mark in marks)
        return _adapted(hint, Hint(base, seen) if constraints else None) or _prepared(base, seen)
    form = _prepared(base, seen)
    metas = [mark for mark in marks if isinstance(mark, msgspec.Meta)]
    whole = Annotated[(form, *metas)] if metas else form
    return whole if _info(whole) else form


def _is_pydantics(mark: Any) -> bool:
    return _home(mark) in {"pydantic", "annotated_types"} and "pydantic" in sys.modules


def _home(mark: Any) -> str:
    return type(mark).__module__.partition(".")[0]


def _is_model(kind: type) -> bool:
    """True for pydantic's models, dataclasses and types."""
    known = hasattr(kind, "__pydantic_core_schema__") or hasattr(kind, "__get_pydantic_core_schema__")
    return known and "pydantic" in sys.modules


@functools.lru_cache(maxsize=1024)
def _model(kind: type) -> type[StandIn] | None:
    return _adapted(kind, None)


def _adapted(hint: Any, base: Hint | None) -> type[StandIn] | None:
    try:
        adapter = sys.modules["pydantic"].TypeAdapter(hint)
    except Exception:  # as in `_info`: pydantic runs the user's code to read the hint
        return None
    if not getattr(adapter, "pydantic_complete", True):  # a name in the model is not known at run time
        return None
    return Adapted.of(subject=hint, adapter=adapter, base=base)


# ----------------------------------------------------------------------------------------------- reading msgspec's view

_LEAF_TYPES: dict[type[inspect.Type], tuple[inspect.Type, frozenset[type]]] = {
    type(info): (info, frozenset(kinds))
    for info, kinds in (
        (inspect.IntType(), {int}),
        (inspect.FloatType(), {float, int}),
        (inspect.StrType(), {str}),
        (inspect.BoolType(), {bool}),
        (inspect.NoneType(), {type(None)}),
        (inspect.BytesType(), {bytes}),
        (inspect.DateTimeType(), {datetime}),
        (inspect.DateType(), {date}),
        (inspect.TimeType(), {time}),
        (inspect.UUIDType(), {UUID}),
        (inspect.DecimalType(), {Decimal}),
        (inspect.ListType(inspect.AnyType()), {list}),
        (inspect.DictType(inspect.AnyType(), inspect.AnyType()), {dict}),
    )
}
_NONE: frozenset[type] = frozenset()
_JSON_TYPES = (inspect.AnyType, inspect.IntType, inspect.FloatType, inspect.StrType, inspect.BoolType, inspect.NoneType)


def bare(info: inspect.Type) -> inspect.Type:
    """The type without the titles and descriptions around it."""
    return bare(info.type) if isinstance(info, inspect.Metadata) else info


def _accepted(info: inspect.Type) -> frozenset[type] | None:
    info = bare(info)
    if isinstance(info, inspect.AnyType):
        return None
    if isinstance(info, inspect.UnionType):
        return _any_of([_accepted(member) for member in info.types])
    if isinstance(info, inspect.CustomType) and issubclass(info.cls, Choice):
        return _any_of([member.accept for member in info.cls.members])
    unconstrained, kinds = _LEAF_TYPES.get(type(info), (None, _NONE))
    return kinds if info == unconstrained else _NONE


def _any_of(members: list[frozenset[type] | None]) -> frozenset[type] | None:
    kinds: frozenset[type] = frozenset()
    for member in members:
        if member is None:
            return None
        kinds |= member
    return kinds


def _as_is(info: inspect.Type) -> bool:
    info = bare(info)
    if isinstance(info, inspect.UnionType):
        return all(_as_is(member) for member in info.types)
    if isinstance(info, inspect.ListType):
        return _as_is(info.item_type)
    if isinstance(info, inspect.DictType):
        return isinstance(bare(info.key_type), inspect.AnyType | inspect.StrType) and _as_is(info.value_type)
    return isinstance(info, _JSON_TYPES)
