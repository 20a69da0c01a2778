"""What several steps do as one statement, and when they cannot."""

from __future__ import annotations

import re
from typing import Any

import pytest

from penstock.brokers.postgres import open_broker
from penstock.core.message import Delivery, Message
from penstock.core.states import RETRY
from penstock.core.step import Step
from penstock.drivers.postgres import Part, array, open_driver
from penstock.drivers.postgres.parts import whole
from penstock.results.postgres import open_results
from penstock.testing.conformance.results.samples import ending, record

_URL = "postgresql://localhost/shop?schema=shop"


def deliveries(count: int) -> list[Delivery]:
    return [Delivery(Message(b"[[], {}, {}]", {"id": f"t{tag}", "task": "add"}), tag) for tag in range(count)]


@pytest.fixture
def steps() -> dict[str, Step[Any]]:
    driver = open_driver(_URL)
    broker, records = open_broker(_URL, driver=driver), open_results(_URL, driver=driver).records
    taker: Any = broker.consume(["default"], "lease")
    made, taken = [record(), record()], deliveries(3)
    return {
        "create": records.create(made),
        "publish": broker.publish([each.message for each in made]),
        "finish": records.finish([ending(each) for each in taken], "lease"),
        "settle": taker.settle(taken),
        "claim": taker.claim(["default"], 100),
    }


@pytest.mark.parametrize(
    "names",
    [("create", "publish"), ("finish", "settle", "claim"), ("claim", "settle"), ("publish", "finish", "settle")],
)
def test_the_parameters_are_numbered_through_and_no_name_comes_twice(
    steps: dict[str, Step[Any]], names: tuple[str, ...]
) -> None:
    made = whole([steps[name] for name in names], "shop")
    assert made is not None
    given = made.given(["channel"], [1], [2])
    assert {int(number) for number in re.findall(r"\$(\d+)", made.text)} == set(range(1, len(given) + 1))
    tables = re.findall(r"(\w+) AS (?:MATERIALIZED )?\((?=\s*(?:SELECT|INSERT|UPDATE|DELETE))", made.text)
    assert len(tables) == len(set(tables)) > len(names)
    assert "penstock." not in made.text


@pytest.mark.parametrize(
    ("name", "width"), [("create", 1), ("publish", 1), ("finish", 3), ("settle", 1), ("claim", 14)]
)
async def test_each_gets_the_columns_that_are_its_own(steps: dict[str, Step[Any]], name: str, width: int) -> None:
    heard: list[Any] = []

    async def answer(_session: Any, rows: Any) -> str:
        heard.append(rows)
        return "own"

    step = steps[name]
    assert isinstance(step, Part)
    step.answer = answer
    made = whole([step, steps["publish" if name == "settle" else "settle"]], "shop")
    assert made is not None
    before = 2 + (name in ("settle", "claim"))
    row = [7, True, *[False] * (before - 2), *range(1, width + 1), *[False] * (name not in ("settle", "claim"))]
    woken, answers = await made.answers(None, [row])
    assert (woken, answers[0], heard) == (7, "own", [[tuple(range(1, width + 1))]])


async def test_what_fails_after_the_commit_is_the_error_of_one_part_only(steps: dict[str, Step[Any]]) -> None:
    claim = steps["claim"]
    assert isinstance(claim, Part)

    async def answer(_session: Any, _rows: Any) -> None:
        raise OSError("the second question failed")

    claim.answer = answer
    made = whole([steps["settle"], claim], "shop")
    assert made is not None
    _, [settled, claimed] = await made.answers(None, [[0, True, True, *[None] * 14]])
    assert (settled, type(claimed)) == (None, OSError)


def test_what_is_of_one_kind_or_of_none_is_done_step_by_step(steps: dict[str, Step[Any]]) -> None:
    driver = open_driver(_URL)

    async def nothing(_session: Any) -> None: ...

    assert whole([steps["create"], steps["finish"]], "shop") is None
    assert whole([steps["settle"], driver.write(nothing)], "shop") is None


def test_what_a_statement_cannot_do_at_once_is_no_part() -> None:
    records = open_results(_URL).records
    twice = record()
    assert not isinstance(records.create([twice, twice]), Part)
    assert not isinstance(records.create([record(children=["child"])]), Part)
    [one, other] = deliveries(2)
    ended, again = ending(one), ending(other, state=RETRY)
    assert isinstance(records.finish([again], "lease"), Part)
    assert not isinstance(records.finish([ended, again], "lease"), Part)
    assert not isinstance(records.finish([ended, ended], "lease"), Part)


def test_a_column_without_any_value_is_left_out() -> None:
    assert array((None, None)) is None
    assert array((None, 0)) == (None, 0)
