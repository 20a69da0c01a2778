"""Records are found by a text in their id, arguments or result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.core.message import Message
from penstock.core.record import Filter, Record
from penstock.core.results import ResultBackend
from penstock.core.states import SUCCESS
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import NOON, created, message, record


async def found(results: ResultBackend, text: str) -> list[str]:
    page = await results.records.page(Filter(text=text), 50)
    assert await results.records.count(Filter(text=text)) == len(page.items)
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
