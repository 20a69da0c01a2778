"""A task's signature as a contract: what is refused before queueing, what the worker gets, what the schema says."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, HttpUrl, field_validator
from pydantic import Field as Constraint

from penstock.core.arguments import Arguments
from penstock.core.encoding import dumps, loads
from penstock.core.errors import EncodingError, InvalidArguments

if TYPE_CHECKING:
    Unknown = int  # a name that exists for type checkers only


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1


class Rate(Enum):
    HALF = 0.5


class Mode(IntFlag):
    READ = 1
    WRITE = 2


@dataclass
class Item:
    sku: str
    price: Decimal


@dataclass
class Order:
    items: list[Item]
    placed: datetime
    colour: Colour = Colour.RED
    note: str | None = None


@dataclass
class Tree:
    """Of a union that msgspec does not take, naming itself."""

    label: str | date
    branches: "list[Tree]" = field(default_factory=list)


@dataclass
class Circle:
    radius: float


@dataclass
class Cylinder:
    radius: float
    height: float


@dataclass
class Positive:
    value: int

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise ValueError("not positive")


@dataclass
class Gauge:
    """Of pydantic's constraints in a class that is not pydantic's."""

    level: Annotated[int, Constraint(le=10)]
    history: list[Annotated[int, Constraint(le=10)]] = field(default_factory=list)


TOO_HIGH = "Input should be less than or equal to 10"


class Part(msgspec.Struct, rename="camel"):
    part_number: int
    weight: float = 1.0


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: list[str]


class Point(NamedTuple):
    x: int
    y: int


class Options(TypedDict):
    depth: int
    label: NotRequired[str]


class Customer(BaseModel):
    name: str
    age: int = Constraint(ge=0)
    since: datetime | None = None
    tags: list[str] = []


class Camel(BaseModel):
    first_name: str = Constraint(alias="FirstName")
    home: HttpUrl | None = Constraint(default=None, alias="Home")


class Even(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("odd")
        return number


class Timer(BaseModel):
    seconds: int = Constraint(gt=0)
    then: Callable[[], None] | None = None


T = TypeVar("T")
Kilos = NewType("Kilos", float)


def one(hint: Any) -> Arguments:
    """The contract of a task with one parameter, `x`."""

    def task(x: Any) -> None: ...

    task.__annotations__ = {"x": hint}
    return Arguments(task, task="task")


def travel(contract: Arguments, *args: Any, **kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
    """What the worker hands to the function: checked, written, read, rebuilt."""
    return contract.rebuild(*loads(dumps(contract.check(args, kwargs))))


def faults(contract: Arguments, *args: Any, **kwargs: Any) -> dict[str, str]:
    with pytest.raises(InvalidArguments) as caught:
        contract.check(args, kwargs)
    assert caught.value.task == "task"
    return caught.value.faults


NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)

# hint, what a Python caller gives, what an HTTP client gives for the same
TYPED: list[tuple[Any, Any, Any]] = [
    (int, 5, 5),
    (int, 2**80, 2**80),
    (float, 1.5, 1.5),
    (str, "é", "é"),
    (bool, True, True),
    (None, None, None),
    (Any, {"a": [1, None]}, {"a": [1, None]}),
    (object, [1], [1]),
    (datetime, NOON, "2030-01-01T12:00:00Z"),
    (datetime, datetime(2030, 1, 1), "2030-01-01T00:00:00"),  # noqa: DTZ001
    (date, date(2030, 1, 1), "2030-01-01"),
    (time, time(1, 2), "01:02:00"),
    (timedelta, timedelta(days=1, seconds=2), "P1DT2S"),
    (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Decimal, Decimal("1.50"), "1.50"),
    (bytes, b"\xff\x00", "/wA="),
    (Path, Path("/tmp/x"), "/tmp/x"),  # noqa: S108
    (Colour, Colour.BLUE, "blue"),
    (Size, Size.SMALL, 1),
    (Rate, Rate.HALF, 0.5),
    (Mode, Mode.READ | Mode.WRITE, 3),
    (Literal["a", 1], "a", "a"),
    (int | None, None, None),
    (Colour | None, Colour.RED, "red"),
    (int | str, "5", "5"),
    (UUID | str, UUID(int=1), None),
    (UUID | str, "any text", "any text"),
    (str | datetime | None, NOON, None),
    (date | datetime, NOON, "2030-01-01T12:00:00Z"),
    (list[int], [1, 2], [1, 2]),
    (list[datetime], [NOON], ["2030-01-01T12:00:00Z"]),
    (Sequence[int], [1, 2], [1, 2]),
    (tuple[int, str], (1, "a"), [1, "a"]),
    (tuple[date, ...], (date(2030, 1, 1),), ["2030-01-01"]),
    (dict[str, Decimal], {"a": Decimal(1)}, {"a": "1"}),
    (dict[int, str], {1: "a"}, {"1": "a"}),
    (dict[UUID, Item], {UUID(int=1): Item("a", Decimal(1))}, {str(UUID(int=1)): {"sku": "a", "price": "1"}}),
    (dict[date, int], {date(2030, 1, 1): 1}, {"2030-01-01": 1}),
    (Mapping[str, list[Colour]], {"a": [Colour.RED]}, {"a": ["red"]}),
    (Item, Item("a", Decimal("1.5")), {"sku": "a", "price": "1.5"}),
    (
        Order,
        Order([Item("a", Decimal(1))], NOON, Colour.BLUE, "n"),
        {"items": [{"sku": "a", "price": "1"}], "placed": "2030-01-01T12:00:00Z", "colour": "blue", "note": "n"},
    ),
    (Order | None, Order([], NOON), {"items": [], "placed": "2030-01-01T12:00:00Z"}),
    (
        Tree,
        Tree("root", [Tree(date(2030, 1, 1)), Tree("leaf", [Tree("x")])]),
        None,
    ),
    (list[Tree], [Tree("root")], [{"label": "root"}]),
    (Circle | Cylinder, Circle(1), {"radius": 1}),
    (Circle | Cylinder, Cylinder(1, 2), {"radius": 1, "height": 2}),
    (list[Circle | Cylinder | None], [Cylinder(1, 2), None], [{"radius": 1, "height": 2}, None]),
    (Gauge | None, Gauge(5, [1]), {"level": 5, "history": [1]}),
    (Part, Part(5, 2.5), {"partNumber": 5, "weight": 2.5}),
    (Cat | Dog, Dog(["sit"]), {"type": "Dog", "tricks": ["sit"]}),
    (Point, Point(1, 2), [1, 2]),
    (Options, {"depth": 1, "label": "x"}, {"depth": 1, "label": "x"}),
    (Kilos, 2.5, 2.5),
    (Annotated[int, msgspec.Meta(ge=0)], 0, 0),
    (Annotated[int, Constraint(ge=0, lt=10)], 9, 9),
    (Annotated[datetime, "of the order"], NOON, "2030-01-01T12:00:00Z"),
    (
        Customer,
        Customer(name="Ann", age=3, since=NOON, tags=["a"]),
        {"name": "Ann", "age": 3, "since": "2030-01-01T12:00:00Z", "tags": ["a"]},
    ),
    (list[Customer], [Customer(name="Ann", age=3)], [{"name": "Ann", "age": 3}]),
    (dict[str, Customer | None], {"a": None}, {"a": None}),
    (Customer | UUID, Customer(name="Ann", age=3), {"name": "Ann", "age": 3}),
    (Customer | Camel, Camel(FirstName="Ann"), {"FirstName": "Ann"}),
    (
        Camel,
        Camel(FirstName="Ann", Home=HttpUrl("https://example.org/")),
        {"FirstName": "Ann", "Home": "https://example.org/"},
    ),
]


@pytest.mark.parametrize(("hint", "value"), [(hint, value) for hint, value, _ in TYPED])
def test_a_typed_value_arrives_as_it_was_sent(hint: Any, value: Any) -> None:
    ((arrived,), _) = travel(one(hint), value)
    assert arrived == value
    assert type(arrived) is type(value)
    assert travel(one(hint), x=value) == ([], {"x": value})


@pytest.mark.parametrize(("hint", "value", "sent"), [case for case in TYPED if case[2] is not None])
def test_the_json_form_of_a_value_arrives_as_the_value(hint: Any, value: Any, sent: Any) -> None:
    ((arrived,), _) = travel(one(hint), json.loads(json.dumps(sent)))
    assert arrived == value
    assert type(arrived) is type(value)


def test_what_needs_no_rebuilding_is_handed_on() -> None:
    contract = one(dict[str, list[int | None]] | str)
    value = {"a": [1, None]}
    assert contract.rebuild([value], {})[0][0] is value


def test_a_list_for_a_set_hint_becomes_a_set_and_a_set_is_refused() -> None:
    contract = one(set[int])
    assert travel(contract, [1, 2, 1]) == ([{1, 2}], {})
    assert faults(contract, {1, 2}) == {"x": "a set is not JSON; give a list"}
    assert faults(one(list[int]), {1}) == {"x": "a set is not JSON; give a list"}
    assert faults(one(dict[str, set[int]]), {"a": {1}}) == {"x.a": "a set is not JSON; give a list"}


# ----------------------------------------------------------------------------------------------------------- strictness


@pytest.mark.parametrize(
    ("hint", "value", "fault"),
    [
        (int, "2", {"x": "expected int, got str"}),
        (int, True, {"x": "expected int, got bool"}),
        (int, 2.0, {"x": "expected int, got float"}),
        (int, None, {"x": "expected int, got null"}),
        (float, "1", {"x": "expected float, got str"}),
        (float, True, {"x": "expected float, got bool"}),
        (str, 5, {"x": "expected str, got int"}),
        (str, b"x", {"x": "expected str, got bytes"}),
        (bool, 1, {"x": "expected bool, got int"}),
        (list[int], (1, "2", 3, "4"), {"x[1]": "expected int, got str", "x[3]": "expected int, got str"}),
        (list[int], "12", {"x": "expected array, got str"}),
        (dict[str, int], {"a": 1, "b c": "2"}, {"x['b c']": "expected int, got str"}),
        (dict[int, int], {"a": 1}, {"x": "of a key: expected int, got str"}),
        (tuple[int, str], [1], {"x": "expected array of length 2, got 1"}),
        (tuple[int, str], ["a", 1], {"x[0]": "expected int, got str", "x[1]": "expected str, got int"}),
        (datetime, "soon", {"x": "invalid RFC3339 encoded datetime"}),
        (UUID, "1", {"x": "invalid UUID"}),
        (Decimal, "1,5", {"x": "invalid decimal string"}),
        (bytes, "?", {"x": "invalid base64 encoded string"}),
        (Path, 5, {"x": "expected Path, got int"}),
        (Colour, "green", {"x": "invalid enum value 'green'"}),
        (Rate, 0.75, {"x": "0.75 is not a valid Rate"}),
        (Literal["a"], "b", {"x": "invalid enum value 'b'"}),
        (UUID | str, 5, {"x": "expected UUID or str, got int"}),
        (Circle | Cylinder, {"height": 1}, {"x": "expected Circle or Cylinder, got dict"}),
        (Customer | UUID, {"name": "Ann"}, {"x.age": "Field required"}),
        (Item | str | UUID, {"sku": "a"}, {"x.price": "missing"}),
        (Gauge, {"level": 11, "history": [0, 99]}, {"x.level": TOO_HIGH, "x.history[1]": TOO_HIGH}),
        (dict[str, Gauge], {"a": {"level": 11}}, {"x.a.level": TOO_HIGH}),
        (Annotated[list[int], msgspec.Meta(max_length=1)], [1, 2], {"x": "expected array of length <= 1"}),
        (Annotated[list[int], Constraint(max_length=1)], [1, "2"], {"x[1]": "expected int, got str"}),
        (Item, 5, {"x": "expected object, got int"}),
        (Tree, 5, {"x": "expected object, got int"}),
        (
            Tree,
            {"branches": [{"label": 5}]},
            {"x.label": "missing", "x.branches[0].label": "expected str or date, got int"},
        ),
        (Positive, {"value": 0}, {"x": "not positive"}),
        (Item, Item(5, Decimal(1)), {"x.sku": "expected str, got int"}),  # type: ignore[arg-type]
        (Options, {"label": 5}, {"x.depth": "missing", "x.label": "expected str, got int"}),
        (Part, {"partNumber": "1"}, {"x.partNumber": "expected int, got str"}),
        (Annotated[int, msgspec.Meta(ge=0)], -1, {"x": "expected int >= 0"}),
        (Annotated[int, Constraint(ge=0)], -1, {"x": "Input should be greater than or equal to 0"}),
        (Annotated[int, Constraint(ge=0)], "1", {"x": "expected int, got str"}),
        (Even, {"number": 3}, {"x.number": "Value error, odd"}),
        (list[float], [1.0, float("nan")], {"x[1]": "NaN is not JSON"}),
        (Item, {"sku": object(), "price": 1}, {"x.sku": "object cannot travel as JSON"}),
        (
            Order | None,
            {"items": [{"sku": "a", "price": "1"}, {"sku": 5, "price": "x"}], "colour": "green"},
            {
                "x.items[1].sku": "expected str, got int",
                "x.items[1].price": "invalid decimal string",
                "x.placed": "missing",
                "x.colour": "invalid enum value 'green'",
            },
        ),
        (
            dict[str, Customer],
            {"a": {"name": "Ann", "age": -1, "tags": ["a", 5]}, "b": {}},
            {
                "x.a.age": "Input should be greater than or equal to 0",
                "x.a.tags[1]": "Input should be a valid string",
                "x.b.name": "Field required",
                "x.b.age": "Field required",
            },
        ),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_every_fault(hint: Any, value: Any, fault: dict[str, str]) -> None:
    assert faults(one(hint), value) == fault
    assert faults(one(hint), x=value) == fault


def test_a_million_wrong_items_are_not_a_million_faults() -> None:
    assert len(faults(one(list[int]), ["x"] * 1_000)) == 100


def test_nan_in_a_float_is_left_to_the_encoder_to_refuse() -> None:
    arguments = one(float).check([float("nan")], {})
    with pytest.raises(EncodingError, match="NaN is not JSON"):
        dumps(arguments)


def test_an_error_of_the_users_own_constructor_is_a_fault() -> None:
    @dataclass
    class Touchy:
        value: int

        def __post_init__(self) -> None:
            raise KeyError("no")

    assert faults(one(Touchy), {"value": 1}) == {"x": "'no'"}


# --------------------------------------------------------------------------------------------------------------- places


def test_every_misplaced_argument_is_named() -> None:
    def task(a: int, b: int, /, c: int, d: int = 1, *, e: int, f: int = 2) -> None: ...

    contract = Arguments(task, task="task")
    assert contract.check([1, 2, 3], {"e": 4}) == ([1, 2, 3], {"e": 4})
    assert contract.check([1, 2], {"c": 3, "e": 4, "d": 5, "f": 6})[1] == {"c": 3, "e": 4, "d": 5, "f": 6}
    assert faults(contract) == {"a": "missing", "b": "missing", "c": "missing", "e": "missing"}
    assert faults(contract, 1, "2", 3, 4, 5, 6, c=7, b=8, g=9) == {
        "b": "can only be given by position",
        "args[4]": "surplus: the task takes 4 by position",
        "args[5]": "surplus: the task takes 4 by position",
        "c": "given twice: by position and by name",
        "e": "missing",
        "g": "no such parameter",
    } | {"b": "expected int, got str"}


def test_the_rest_of_the_arguments_has_its_hints_too() -> None:
    def task(first: str, *numbers: int, **dates: date) -> None: ...

    contract = Arguments(task, task="task")
    today = date(2030, 1, 1)
    assert travel(contract, "a", 1, 2, start=today, first_day="2030-01-01") == (
        ["a", 1, 2],
        {"start": today, "first_day": today},
    )
    assert faults(contract, "a", 1, "2", start=5) == {
        "numbers[1]": "expected int, got str",
        "start": "expected date, got int",
    }


def test_a_positional_only_name_is_free_for_the_other_keywords() -> None:
    def task(a: int, /, **others: str) -> None: ...

    assert Arguments(task, task="task").check([1], {"a": "b"}) == ([1], {"a": "b"})


def test_defaults_may_be_left_out_and_a_default_of_none_allows_none() -> None:
    def task(a: int = 1, b: int = None) -> None: ...  # type: ignore[assignment] # noqa: RUF013

    contract = Arguments(task, task="task")
    assert contract.check([], {}) == ([], {})
    assert contract.check([1, None], {}) == ([1, None], {})
    assert faults(contract, None) == {"a": "expected int, got null"}


def test_the_first_parameter_of_a_bound_task_is_left_out() -> None:
    def task(self: Any, x: int) -> None: ...

    contract = Arguments(task, task="task", skip_first=True)
    assert contract.check([1], {}) == ([1], {})
    assert list(contract.schema()["properties"]) == ["x"]


def test_what_check_returns_is_a_copy() -> None:
    def task(a: int, b: int) -> None: ...

    args, kwargs = [1], {"b": 2}
    checked = Arguments(task, task="task").check(args, kwargs)
    assert checked == (args, kwargs)
    assert checked[0] is not args
    assert checked[1] is not kwargs


# ---------------------------------------------------------------------------------------------- signatures of all kinds


def test_a_wrapper_takes_what_its_own_signature_says() -> None:
    def inner(x: int, args: int, kwargs: int) -> None: ...

    @functools.wraps(inner)
    def everything(*args: Any, **kwargs: Any) -> None: ...

    @functools.wraps(inner)
    def more(x: int, retries: int = 3) -> None: ...

    assert Arguments(everything, task="task").check([1, "2"], {"y": "z"}) == ([1, "2"], {"y": "z"})
    assert Arguments(more, task="task").check([1], {"retries": 5}) == ([1], {"retries": 5})
    assert faults(Arguments(more, task="task"), "1", args=1) == {
        "x": "expected int, got str",
        "args": "no such parameter",
    }


def test_without_hints_everything_is_taken_and_handed_on() -> None:
    def task(x, y=1): ...  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, RUF100

    contract = Arguments(task, task="task")
    assert travel(contract, NOON, y=[Item("a", Decimal(1))])[0] == [NOON]
    assert faults(contract, 1, 2, 3) == {"args[2]": "surplus: the task takes 2 by position"}


def test_hints_may_be_written_as_text() -> None:
    def task(a: "int", b: "list[Order]") -> "Order | None": ...

    contract = Arguments(task, task="task")
    assert faults(contract, "1", [5]) == {"a": "expected int, got str", "b[0]": "expected object, got int"}
    assert contract.result_schema()["anyOf"][0] == {"$ref": "#/$defs/Order"}


def test_a_hint_that_cannot_be_resolved_leaves_the_others_alone() -> None:
    def task(a: "Unknown", b: int, c: "1 +") -> "Unknown": ...  # type: ignore[valid-type, empty-body] # noqa: F722

    contract = Arguments(task, task="task")
    assert travel(contract, {"any": 1}, 2, None) == ([{"any": 1}, 2, None], {})
    assert faults(contract, 1, "2", 3) == {"b": "expected int, got str"}
    assert contract.result_schema() == {}


@dataclass
class Lost:
    """Of a field whose type nobody knows at run time."""

    value: "Unknown"


class LostModel(BaseModel):
    value: "Unknown"


class Broken:
    """Whose schema pydantic cannot even ask for."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise RuntimeError("broken")


@pytest.mark.parametrize(
    "hint",
    [
        LostModel,
        LostModel | None,
        Broken,
        Callable[..., int],
        type[int],
        Arguments,
        Arguments | int,
        complex,
        Lost,
        Lost | str,
        Annotated[Lost, Constraint(description="of something")],
        5,
        ...,
    ],
)
def test_a_hint_that_json_cannot_express_is_not_checked(hint: Any) -> None:
    assert travel(one(hint), [1]) == ([[1]], {})
    assert one(hint).schema()["properties"]["x"] == {}


def test_only_the_part_that_json_cannot_express_is_not_checked() -> None:
    contract = one(dict[str, Arguments | None])
    assert travel(contract, {"a": 1}) == ([{"a": 1}], {})
    assert faults(contract, 1) == {"x": "expected object, got int"}
    assert travel(one(T | int), [1]) == ([[1]], {})


def test_pydantic_is_not_imported_for_tasks_that_do_not_name_its_models() -> None:
    program = """
import dataclasses, datetime, sys
from penstock.core.arguments import Arguments

@dataclasses.dataclass
class Visit:
    start: datetime.datetime | str

def task(visit: Visit): ...

Arguments(task, task="task").check([Visit("now")], {})
Arguments(task, task="task").schema()
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_any_kind_of_callable_has_a_contract() -> None:
    class Resize:
        def __call__(self, width: int) -> Colour:
            raise NotImplementedError

        def run(self, width: "int") -> None: ...

    for function in (Resize(), Resize().run, functools.partial(Resize().run)):
        assert faults(Arguments(function, task="task"), "1") == {"width": "expected int, got str"}
    assert faults(Arguments(functools.partial(Resize().run, 5), task="task"), 1, 2)["args[1]"].startswith("surplus")
    assert faults(Arguments(Item, task="task"), 1, 2) == {"sku": "expected str, got int"}
    assert Arguments(dict, task="task").check([1, 2], {"a": 1}) == ([1, 2], {"a": 1})


# -------------------------------------------------------------------------------------------------------------- rebuild


def test_rebuilding_names_the_faults_of_values_that_nobody_checked() -> None:
    def task(a: int, when: date) -> None: ...

    contract = Arguments(task, task="task")
    assert contract.rebuild(["not checked", "2030-01-01"], {}) == (["not checked", date(2030, 1, 1)], {})
    assert contract.rebuild([1, "2030-01-01", "surplus"], {"other": 1}) == (
        [1, date(2030, 1, 1), "surplus"],
        {"other": 1},
    )
    with pytest.raises(InvalidArguments) as caught:
        contract.rebuild([1], {"when": "soon"})
    assert caught.value.faults == {"when": "invalid RFC3339 encoded date"}


# -------------------------------------------------------------------------------------------------------------- by name


def test_arguments_by_name_find_their_places() -> None:
    def task(a: int, b: int = 2, /, c: int = 3, *numbers: int, d: int = 4, **others: int) -> None: ...

    contract = Arguments(task, task="task")
    assert contract.named({"a": 1}) == ([1], {})
    assert contract.named({"d": 4, "c": 3, "b": 2, "a": 1}) == ([1, 2], {"c": 3, "d": 4})
    assert contract.named({"a": 1, "numbers": [5, 6], "e": 7}) == ([1, 2, 3, 5, 6], {"e": 7})
    assert contract.named({"a": 1, "numbers": []}) == ([1], {})
    assert contract.named({}) == ([], {})
    misfits: list[tuple[dict[str, Any], dict[str, str]]] = [
        ({"b": 1}, {"a": "missing"}),
        ({"numbers": [1]}, {"a": "missing"}),
        ({"a": 1, "numbers": "12"}, {"numbers": "expected array, got str"}),
    ]
    for wrong, fault in misfits:
        with pytest.raises(InvalidArguments) as caught:
            contract.named(wrong)
        assert caught.value.faults == fault


def test_arguments_by_name_are_checked_like_others() -> None:
    def task(a: int, /, b: Order) -> None: ...

    contract = Arguments(task, task="task")
    assert faults(contract, *contract.named({"b": 5, "c": 1})[0], **contract.named({"b": 5, "c": 1})[1]) == {
        "a": "missing",
        "b": "expected object, got int",
        "c": "no such parameter",
    }


# --------------------------------------------------------------------------------------------------------------- schema


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def test_the_schema_describes_the_arguments_by_name() -> None:
    def task(
        a: int,
        b: Annotated[float, msgspec.Meta(ge=0, title="Width", description="in metres")] = 1.5,
        *numbers: int,
        colour: Colour = Colour.RED,
        when: datetime = NOON,
        secret: Any = object(),  # noqa: B008 - a sentinel, as users have them
    ) -> None:
        """Do it.

        With care.
        """

    assert Arguments(task, task="shop.task").schema() == {
        "title": "shop.task",
        "description": "Do it.\n\nWith care.",
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "number", "minimum": 0, "title": "Width", "description": "in metres", "default": 1.5},
            "numbers": {"type": "array", "items": {"type": "integer"}},
            "colour": {"$ref": "#/$defs/Colour", "default": "red"},
            "when": {"type": "string", "format": "date-time", "default": "2030-01-01T12:00:00Z"},
            "secret": {},
        },
        "required": ["a"],
        "additionalProperties": False,
        "$defs": {"Colour": {"title": "Colour", "enum": ["blue", "red"]}},
    }


def test_other_keywords_are_additional_properties() -> None:
    def typed(**others: int) -> None: ...

    def untyped(**others) -> None: ...  # type: ignore[no-untyped-def] # noqa: ANN003, RUF100

    assert Arguments(typed, task="task").schema()["additionalProperties"] == {"type": "integer"}
    assert Arguments(untyped, task="task").schema()["additionalProperties"] == {}


def test_a_dates_format_is_said_wherever_it_stands() -> None:
    schema = one(tuple[Order, ...] | None).schema()
    assert schema["$defs"]["Order"]["properties"]["placed"] == {"type": "string", "format": "date-time"}
    schema = one(dict[str, list[tuple[time, datetime | None]]]).schema()
    pair = schema["properties"]["x"]["additionalProperties"]["items"]["prefixItems"]
    assert pair[0] == {"type": "string", "format": "time"}
    assert pair[1]["anyOf"][0] == {"type": "string", "format": "date-time"}


def test_pydantic_and_stand_ins_are_part_of_the_schema() -> None:
    def task(c: Customer, t: Tree, s: Circle | Cylinder | None, *, r: Rate, p: Path, u: UUID | str) -> list[Customer]:
        raise NotImplementedError

    schema = Arguments(task, task="task").schema()
    assert schema["properties"] == {
        "c": {"$ref": "#/$defs/Customer"},
        "t": {"$ref": "#/$defs/Tree"},
        "s": {
            "anyOf": [{"anyOf": [{"$ref": "#/$defs/Circle"}, {"$ref": "#/$defs/Cylinder"}]}, {"type": "null"}],
        },
        "r": {"title": "Rate", "enum": [0.5]},
        "p": {"type": "string", "format": "path"},
        "u": {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "string"}]},
    }
    assert schema["$defs"]["Customer"]["properties"]["age"] == {"minimum": 0, "title": "Age", "type": "integer"}
    assert schema["$defs"]["Tree"] == {
        "title": "Tree",
        "type": "object",
        "properties": {
            "label": {"anyOf": [{"type": "string"}, {"type": "string", "format": "date"}]},
            "branches": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        },
        "required": ["label"],
    }
    result = Arguments(task, task="task").result_schema()
    assert (result["type"], result["items"]) == ("array", {"$ref": "#/$defs/Customer"})
    for document in (schema, result):
        assert references(document) <= {f"#/$defs/{name}" for name in document["$defs"]}


def test_a_model_that_has_no_schema_is_checked_all_the_same() -> None:
    contract = one(Timer)
    assert contract.schema()["properties"]["x"] == {"title": "Timer"}
    assert faults(contract, {"seconds": -1}) == {"x.seconds": "Input should be greater than 0"}


def test_two_classes_of_one_name_keep_their_own_definitions() -> None:
    renamed = type("Customer", (BaseModel,), {"__annotations__": {"street": str}, "__module__": __name__})

    def task(a: Any, b: Any) -> None: ...

    task.__annotations__ = {"a": Customer, "b": renamed}
    schema = Arguments(task, task="task").schema()
    a, b = (schema["$defs"][schema["properties"][name]["$ref"].rpartition("/")[2]] for name in "ab")
    assert set(a["properties"]) == {"name", "age", "since", "tags"}
    assert set(b["properties"]) == {"street"}


def test_the_result_may_be_nothing_or_unknown() -> None:
    def nothing() -> None: ...

    assert Arguments(nothing, task="task").result_schema() == {"type": "null"}
    assert Arguments(lambda: None, task="task").result_schema() == {}
    assert Arguments(lambda: None, task="task").schema() == {
        "title": "task",
        "type": "object",
        "properties": {},
        "required": [],
        "additionalProperties": False,
    }


# ----------------------------------------------------------------------------------------------------------- properties

HINTS = st.sampled_from([hint for hint, _, _ in TYPED])
finite = st.floats(allow_nan=False, allow_infinity=False)
orders = st.builds(
    Order,
    items=st.lists(st.builds(Item, sku=st.text(), price=st.decimals(allow_nan=False))),
    placed=st.datetimes(timezones=st.none() | st.just(UTC)),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | finite | st.text() | st.sampled_from([v for _, v, _ in TYPED]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(orders, st.dictionaries(st.integers(), st.dates()), st.lists(st.uuids() | st.text() | st.none()))
def test_any_typed_value_arrives_as_it_was_sent(order: Order, days: dict[int, date], names: list[UUID | str]) -> None:
    def task(order: Order, days: dict[int, date], names: list[UUID | str | None]) -> None: ...

    assert travel(Arguments(task, task="task"), order, days, names=names) == ([order, days], {"names": names})


@given(HINTS, values)
@example(int, float("inf"))
def test_whatever_is_given_is_either_refused_or_rebuilt(hint: Any, value: Any) -> None:
    contract = one(hint)
    try:
        checked = contract.check([value], {})
    except InvalidArguments:
        assert faults(contract, value)
        return
    contract.rebuild(*loads(dumps(checked)))
