"""Small values with a time to live, and locks."""

from __future__ import annotations

import asyncio

from penstock.testing.conformance.results.harness import Harness


class TestKeys:
    async def test_a_value_is_read_back(self, harness: Harness) -> None:
        value = bytes(range(256)) * 4000
        async with harness.results() as results, harness.results() as other:
            await results.keys.put("größe / 任务", value, 60)
            assert await other.keys.get("größe / 任务") == value
            assert await other.keys.get("unknown") is None

    async def test_a_value_may_be_empty(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.put("k", b"", 60)
            assert await results.keys.get("k") == b""
            assert await results.keys.add("k", b"1", 60) == b""

    async def test_put_replaces_value_and_time(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.put("k", b"1", 0.2)
            await results.keys.put("k", b"2", 60)
            await harness.elapse(0.3)
            assert await results.keys.get("k") == b"2"

    async def test_a_value_is_gone_with_its_time(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.put("k", b"1", 0.2)
            await harness.elapse(0.3)
            assert await results.keys.get("k") is None

    async def test_delete_removes(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.put("k", b"1", 60)
            await results.keys.delete("k")
            await results.keys.delete("k")
            assert await results.keys.get("k") is None

    async def test_add_puts_only_where_nothing_is(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert await results.keys.add("k", b"1", 60) is None
            assert await results.keys.add("k", b"2", 60) == b"1"
            assert await results.keys.get("k") == b"1"

    async def test_add_puts_where_the_time_is_over_and_leaves_the_time_of_what_is_there(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.add("k", b"1", 0.2)
            assert await results.keys.add("k", b"2", 60) == b"1"
            await harness.elapse(0.3)
            assert await results.keys.add("k", b"3", 60) is None
            assert await results.keys.get("k") == b"3"

    async def test_of_many_who_add_one_wins(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            answers = await asyncio.gather(
                *((one, other)[turn % 2].keys.add("k", str(turn).encode(), 60) for turn in range(20))
            )
            won = [turn for turn, answer in enumerate(answers) if answer is None]
            assert len(won) == 1
            assert {answer for answer in answers if answer is not None} == {str(won[0]).encode()}

    async def test_swap_replaces_only_what_it_expects(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert not await results.keys.swap("k", b"1", b"2", 60)
            await results.keys.put("k", b"1", 0.2)
            assert not await results.keys.swap("k", b"other", b"2", 60)
            assert await results.keys.swap("k", b"1", b"2", 60)
            await harness.elapse(0.3)
            assert await results.keys.get("k") == b"2"

    async def test_swap_finds_nothing_where_the_time_is_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.put("k", b"1", 0.2)
            await harness.elapse(0.3)
            assert not await results.keys.swap("k", b"1", b"2", 60)
            assert await results.keys.get("k") is None

    async def test_a_sweep_counts_what_it_deletes_and_leaves_the_rest(self, harness: Harness) -> None:
        async with harness.results() as results:
            for turn in range(3):
                await results.keys.put(f"short-{turn}", b"1", 0.2)
            await results.keys.put("long", b"1", 60)
            assert await results.keys.sweep() == 0
            await harness.elapse(0.3)
            assert await results.keys.sweep() <= 3  # a store may have forgotten some by itself
            assert await results.keys.sweep() == 0
            assert await results.keys.get("long") == b"1"


class TestLocks:
    async def test_a_lock_has_one_owner(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            assert await one.keys.lock("scheduler", "me", 60)
            assert not await other.keys.lock("scheduler", "you", 60)
            assert await other.keys.lock("sweeper", "you", 60)

    async def test_its_owner_prolongs_it(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert await results.keys.lock("l", "me", 0.2)
            assert await results.keys.lock("l", "me", 60)
            await harness.elapse(0.3)
            assert not await results.keys.lock("l", "you", 60)

    async def test_it_is_free_when_its_time_is_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.lock("l", "me", 0.2)
            await harness.elapse(0.3)
            assert await results.keys.lock("l", "you", 60)
            assert not await results.keys.lock("l", "me", 60)

    async def test_only_its_owner_gives_it_up(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.lock("l", "me", 60)
            await results.keys.unlock("l", "you")
            assert not await results.keys.lock("l", "you", 60)
            await results.keys.unlock("l", "me")
            await results.keys.unlock("unknown", "me")
            assert await results.keys.lock("l", "you", 60)

    async def test_of_many_who_want_it_one_gets_it(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            got = await asyncio.gather(*((one, other)[turn % 2].keys.lock("l", str(turn), 60) for turn in range(20)))
            assert sum(got) == 1

    async def test_a_lock_and_a_key_of_one_name_do_not_meet(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.put("n", b"1", 60)
            assert await results.keys.lock("n", "me", 60)
            await results.keys.delete("n")
            assert not await results.keys.lock("n", "you", 60)
            assert await results.keys.get("n") is None

    async def test_a_sweep_leaves_what_is_held(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.keys.lock("short", "me", 0.2)
            await results.keys.lock("long", "me", 60)
            await harness.elapse(0.3)
            await results.keys.sweep()
            assert not await results.keys.lock("long", "you", 60)
            assert await results.keys.lock("short", "you", 60)
