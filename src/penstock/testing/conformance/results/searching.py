"""Records are found by a text in their id, arguments or result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.core import search
from penstock.core.message import Message
from penstock.core.record import Filter, Page, Record, Tally
from penstock.core.results import ResultBackend
from penstock.core.states import FAILURE, PENDING, SUCCESS
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import NOON, created, message, record


async def found(results: ResultBackend, text: str) -> list[str]:
    page = await results.records.page(Filter(text=text), 50)
    assert await results.records.tally(Filter(text=text)) == Tally(len(page.items), None)
    return [item.task_id for item in page.items]


def foreign(task_id: str, *args: Any) -> Record:
    """As Celery writes it: blanks after commas and colons, and escapes for all that is not ASCII."""
    body = json.dumps([args, {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]).encode()
    return record(task_id, message=Message(body, message(task_id).headers, message(task_id).properties))


class TestSearching:
    async def test_arguments_are_searched(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record("a", args=["needle"]), record("b", args=["hay"]))
            keyword = message("c", kwargs={"needle": 1})
            await created(results, record("c", message=keyword))
            assert await found(results, "needle") == ["c", "a"]

    async def test_results_are_searched(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record("a", state=SUCCESS, finished_at=NOON, result=b'{"x":"needle"}'), record("b"))
            assert await found(results, "eedl") == ["a"]

    async def test_ids_are_searched(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record("order-17-a"), record("order-18-a"), record("ördnung"))
            assert await found(results, "r-17") == ["order-17-a"]
            assert await found(results, "örd") == ["ördnung"]

    async def test_nothing_else_is_searched(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record("a", task="needle", queue="needle", worker="needle", traceback="needle"))
            assert await found(results, "needle") == []

    @pytest.mark.parametrize("text", ["callbacks", "errbacks", "chain", "chord", "null}]"])
    async def test_the_workflow_fields_of_the_body_are_no_arguments(self, harness: Harness, text: str) -> None:
        async with harness.results() as results:
            await created(results, record("a"), foreign("b", 1))
            assert await found(results, text) == []

    async def test_a_word_of_the_workflow_fields_is_found_in_arguments(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record("a", args=["callbacks", "chain"]), record("b"))
            assert await found(results, "chain") == ["a"]

    async def test_ascii_letters_match_in_either_case(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record("TASK-A", args=["NeedLe"]))
            for text in ("needle", "NEEDLE", "nEEd", "task-a"):
                assert await found(results, text) == ["TASK-A"]

    async def test_text_of_any_script_is_found_however_the_producer_wrote_it(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(
                results, record("ours", args=["Zürich 任务 🚰"]), foreign("theirs", "Zürich 任务 🚰"), record("other")
            )
            for text in ("Zürich", "zürich", "任务", "🚰", "h 任"):
                assert await found(results, text) == ["theirs", "ours"]

    async def test_quotes_and_backslashes_are_found(self, harness: Harness) -> None:
        async with harness.results() as results:
            words = 'say "grüezi" in C:\\temp'
            await created(results, record("a", args=[words]), record("b"), foreign("c", words))
            for text in ('say "grü', '"grüezi" in', "C:\\temp"):
                assert await found(results, text) == ["c", "a"]

    @pytest.mark.parametrize("text", ["100%", "a_b", "*", "[x]", "'; DROP TABLE records; --", "\\"])
    async def test_no_letter_is_a_wildcard(self, harness: Harness, text: str) -> None:
        async with harness.results() as results:
            await created(results, record("a", args=[f"<{text}>"]), record("b", args=["100 axb x"]))
            assert await found(results, text) == ["a"]

    @pytest.mark.parametrize("text", ["\0", "\ud800", "x" * 10_000])
    async def test_any_text_may_be_asked_for(self, harness: Harness, text: str) -> None:
        async with harness.results() as results:
            await created(results, record("a"))
            assert await found(results, text) == []

    async def test_a_large_argument_is_searched_to_its_end(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record("a", args=["x" * 1_000_000 + "needle"]))
            assert await found(results, "needle") == ["a"]

    async def test_no_read_looks_at_more_than_a_stretch(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "AT_ONCE", 4)
        wanted = Filter(text="needle")
        async with harness.results() as results:
            given = [
                record(f"t{n}", args=["needle" if n in {1, 2, 6} else "hay"], created_at=NOON + n) for n in range(9)
            ]
            await created(results, *given)
            first = await results.records.page(wanted, 50)
            assert ([item.task_id for item in first.items], first.reached) == (["t6"], NOON + 5)
            second = await results.records.page(wanted, 50, first.next)
            assert ([item.task_id for item in second.items], second.reached) == (["t2", "t1"], NOON + 1)
            assert await results.records.page(wanted, 50, second.next) == Page([], None)
            one = await results.records.page(wanted, 1, first.next)
            assert ([item.task_id for item in one.items], one.reached) == (["t2"], None)
            rest = await results.records.page(wanted, 1, one.next)
            assert [item.task_id for item in rest.items] == ["t1"]
            assert await results.records.tally(wanted) == Tally(1, first.next, NOON + 5)
            assert await results.records.tally(wanted, first.next) == Tally(2, second.next, NOON + 1)
            assert await results.records.tally(wanted, second.next) == Tally(0, None)

    async def test_a_stretch_is_one_of_all_records_whatever_states_are_asked_for(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "AT_ONCE", 4)
        wanted = Filter(text="needle", states=[SUCCESS, FAILURE])
        async with harness.results() as results:
            for n in range(6):
                ended = {"state": FAILURE if n % 2 else SUCCESS, "finished_at": NOON + n} if n != 4 else {}
                await created(results, record(f"t{n}", args=["needle"], created_at=NOON + n, **ended))
            first = await results.records.page(wanted, 50)
            assert ([item.task_id for item in first.items], first.reached) == (["t5", "t3", "t2"], NOON + 2)
            rest = await results.records.page(wanted, 50, first.next)
            assert ([item.task_id for item in rest.items], rest.next) == (["t1", "t0"], None)
            assert await results.records.tally(wanted) == Tally(3, first.next, NOON + 2)

    @pytest.mark.parametrize("states", [(), (PENDING,)])
    @pytest.mark.parametrize("at_once", [1, 7, 100])
    async def test_a_walk_finds_all_of_them(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch, at_once: int, states: tuple[str, ...]
    ) -> None:
        monkeypatch.setattr(search, "AT_ONCE", at_once)
        words = ["needle" if n in {0, 1, 8, 17, 29} else "hay" for n in range(30)]
        async with harness.results() as results:
            await created(results, *(record(f"t{n}", args=[word]) for n, word in enumerate(words)))
            seen: list[str] = []
            cursor, pages = None, 0
            while pages == 0 or cursor is not None:
                page = await results.records.page(Filter(text="needle", states=states), 2, cursor)
                assert len(page.items) <= 2
                seen += [item.task_id for item in page.items]
                pages, cursor = pages + 1, page.next
            assert seen == ["t29", "t17", "t8", "t1", "t0"]
            assert pages >= 30 // at_once

    async def test_a_search_is_counted_stretch_by_stretch_only(self, harness: Harness) -> None:
        async with harness.results() as results:
            with pytest.raises(ValueError, match="tally"):
                await results.records.count(Filter(text="needle"))
