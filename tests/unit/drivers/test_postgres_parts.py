"""What several steps do as one statement, and when they cannot."""

from __future__ import annotations

import re
from typing import Any

import pytest

from penstock.brokers.postgres import open_broker
from penstock.core.message import Delivery, Message
from penstock.core.states import RETRY
from penstock.core.step import Step
from penstock.drivers.postgres import Part, columns, open_driver
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
        "create one": records.create(made[:1]),
    }


@pytest.mark.parametrize(
    "names",
    [
        ("create", "publish"),
        ("create one", "publish"),
        ("finish", "settle", "claim"),
        ("claim", "settle"),
        ("publish", "finish", "settle"),
    ],
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
    ("rows", "heard"),
    [([(7, 1, "a"), (7, 2, "b")], [(1, "a"), (2, "b")]), ([(7, None, None)], [])],
    ids=["rows", "none"],
)
async def test_only_claims_have_rows(steps: dict[str, Step[Any]], rows: list[Any], heard: list[Any]) -> None:
    claim, settle = steps["claim"], steps["settle"]
    assert isinstance(claim, Part)
    assert isinstance(settle, Part)

    async def answer(_session: Any, rows: Any) -> list[Any]:
        return list(rows)

    claim.answer = settle.answer = answer
    made = whole([claim, settle], "shop")
    assert made is not None
    assert await made.answers(None, rows) == (7, [heard, []])


async def test_without_a_claim_the_answer_is_how_many_were_woken(steps: dict[str, Step[Any]]) -> None:
    made = whole([steps["create"], steps["publish"]], "shop")
    assert made is not None
    assert await made.answers(None, [(1,)]) == (1, [None, None])


async def test_what_alone_goes_to_a_queue_that_is_known_does_not_declare_it(steps: dict[str, Step[Any]]) -> None:
    broker, message = open_broker(_URL), record().message
    first = whole([broker.publish([message])], "shop")
    assert first is not None
    await first.answers(None, [(0,)])
    again = whole([steps["create one"], broker.publish([message])], "shop")
    assert again is not None
    assert ("shop.queues" in first.text, "shop.queues" in again.text) == (True, False)
    assert {int(number) for number in re.findall(r"\$(\d+)", again.text)} == set(
        range(1, len(again.given([], [], [])) + 1)
    )
    other = whole([broker.publish([record(queue="other").message])], "shop")
    assert other is not None
    assert "shop.queues" in other.text


async def test_what_fails_after_the_commit_is_the_error_of_one_part_only(steps: dict[str, Step[Any]]) -> None:
    claim = steps["claim"]
    assert isinstance(claim, Part)

    async def answer(_session: Any, _rows: Any) -> None:
        raise OSError("the second question failed")

    claim.answer = answer
    made = whole([steps["settle"], claim], "shop")
    assert made is not None
    _, [settled, claimed] = await made.answers(None, [[0, *[None] * 14]])
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
    assert columns([(None, None), (None, 0)]) == [None, (None, 0)]
