"""Messages that nobody will run again by themselves."""

from __future__ import annotations

import pytest

from penstock.core.message import Message
from penstock.core.record import DeadLetter
from penstock.core.results import ResultBackend
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import letter


async def walk(results: ResultBackend, queue: str = "", reason: str = "", limit: int = 2) -> list[str]:
    seen: list[str] = []
    cursor = None
    while True:
        letters, cursor = await results.dead.page(queue, reason, limit, cursor)
        seen += [each.id for each in letters]
        if cursor is None:
            return seen
        assert len(letters) == limit


class TestDeadLetters:
    async def test_a_letter_is_read_back_whole(self, harness: Harness) -> None:
        odd = Message(bytes(range(256)), {"x": [1, {"ü": None}]}, {"content_type": "application/x-pickle"}, "größe", 3)
        kept = letter(queue="größe", reason="content-type", detail="ü" * 10_000, message=odd, task_id="", task="")
        async with harness.results() as results, harness.results() as other:
            await results.dead.add([kept])
            assert await other.dead.get(kept.id) == kept
            assert await other.dead.get("unknown") is None

    async def test_a_raw_message_can_be_a_dead_letter(self, harness: Harness) -> None:
        raw = letter(message=Message(b"\xff" * 1_000_000, queue="default"), task_id="", task="", deliveries=0)
        async with harness.results() as results:
            await results.dead.add([raw])
            assert await results.dead.get(raw.id) == raw

    async def test_one_that_exists_is_passed_over(self, harness: Harness) -> None:
        first, fresh = letter("a", detail="first"), letter("b")
        async with harness.results() as results:
            await results.dead.add([first])
            await results.dead.add([letter("a", detail="second"), fresh])
            assert await results.dead.get("a") == first
            assert await results.dead.get("b") == fresh
            assert await results.dead.count() == 2

    async def test_adding_nothing_is_fine(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.dead.add([])
            assert await results.dead.page() == ([], None)

    async def test_pages_are_newest_first_and_a_walk_sees_each_once(self, harness: Harness) -> None:
        async with harness.results() as results:
            for name in "dbaec":
                await results.dead.add([letter(name)])
            assert await walk(results) == list("ceabd")
            assert await walk(results, limit=5) == list("ceabd")

    async def test_a_walk_is_not_disturbed_by_letters_that_come_and_go(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.dead.add([letter(name) for name in "abcdef"])
            first, cursor = await results.dead.page(limit=2)
            assert [each.id for each in first] == ["f", "e"]
            await results.dead.add([letter("g")])
            await results.dead.discard(["e", "c"])
            rest, end = await results.dead.page(limit=10, cursor=cursor)
            assert ([each.id for each in rest], end) == (["d", "b", "a"], None)

    async def test_pages_and_counts_are_filtered_by_queue_and_reason(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.dead.add(
                [
                    letter("a", queue="q", reason="undecodable"),
                    letter("b", queue="größe", reason="undecodable"),
                    letter("c", queue="q", reason="rejected"),
                    letter("d", queue="q", reason="undecodable"),
                ]
            )
            assert await walk(results, "q", limit=1) == ["d", "c", "a"]
            assert await walk(results, "größe") == ["b"]
            assert await walk(results, reason="undecodable") == ["d", "b", "a"]
            assert await walk(results, "q", "undecodable", limit=1) == ["d", "a"]
            assert await walk(results, "unknown") == []
            counts = [
                await results.dead.count(*which) for which in ((), ("q",), ("", "rejected"), ("q", "undecodable"))
            ]
            assert counts == [4, 3, 1, 2]

    @pytest.mark.parametrize("cursor", ["", "nonsense", "-1", "1.5", "٣", "9" * 400])
    async def test_what_is_no_cursor_is_refused(self, harness: Harness, cursor: str) -> None:
        async with harness.results() as results:
            with pytest.raises(ValueError, match="cursor"):
                await results.dead.page(cursor=cursor)

    async def test_discarding_deletes_and_counts(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.dead.add([letter(name) for name in "abc"])
            assert await results.dead.discard(["a", "c", "unknown"]) == 2
            assert await results.dead.discard(["a"]) == 0
            assert await walk(results) == ["b"]

    async def test_a_tasks_letters_are_found(self, harness: Harness) -> None:
        async with harness.results() as results:
            mine: list[DeadLetter] = [letter("a", task_id="t"), letter("c", task_id="t")]
            await results.dead.add([mine[0], letter("b", task_id="u"), letter("d", task_id=""), mine[1]])
            assert sorted(await results.dead.of_task("t"), key=lambda each: each.id) == mine
            assert await results.dead.of_task("unknown") == []
