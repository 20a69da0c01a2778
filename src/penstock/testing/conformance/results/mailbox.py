"""Letters to workers."""

from __future__ import annotations

import asyncio
import statistics

from penstock.core.record import Command
from penstock.testing.conformance.results.feed import PROMPT, woken
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import WORKER


def command(letter: str) -> Command:
    return Command(id=letter, method="cancel", arguments={"task_id": letter, "ü": [1, None]})


class TestMailbox:
    async def test_letters_are_taken_whole_and_in_order(self, harness: Harness) -> None:
        letters = [command(letter) for letter in "cab"]
        async with harness.results() as results, harness.results() as other:
            for letter in letters:
                await other.mailbox.send(WORKER, letter)
            assert await results.mailbox.take(WORKER) == letters

    async def test_taking_removes(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert await results.mailbox.take(WORKER) == []
            await results.mailbox.send(WORKER, command("a"))
            assert len(await results.mailbox.take(WORKER)) == 1
            assert await results.mailbox.take(WORKER) == []

    async def test_each_worker_has_its_own(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.mailbox.send("w1@host", command("a"))
            await results.mailbox.send("größe@host", command("b"))
            assert await results.mailbox.take("größe@host") == [command("b")]
            assert await results.mailbox.take("w1@host") == [command("a")]

    async def test_a_letter_is_thrown_away_when_its_time_is_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.mailbox.send(WORKER, command("short"), 0.2)
            await results.mailbox.send(WORKER, command("long"), 60)
            await harness.elapse(0.3)
            assert await results.mailbox.take(WORKER) == [command("long")]

    async def test_a_letter_is_taken_once_however_many_take(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            for turn in range(10):
                await one.mailbox.send(WORKER, command(str(turn)))
                taken = await asyncio.gather(one.mailbox.take(WORKER), other.mailbox.take(WORKER))
                assert [letter for letters in taken for letter in letters] == [command(str(turn))]

    async def test_a_sweep_leaves_what_is_still_to_be_read(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.mailbox.send(WORKER, command("short"), 0.2)
            await results.mailbox.send(WORKER, command("long"), 60)
            await harness.elapse(0.3)
            await results.keys.sweep()
            assert await results.mailbox.take(WORKER) == [command("long")]

    async def test_a_letter_wakes_who_waits_for_it(self, harness: Harness) -> None:
        async with harness.results() as results, harness.results() as other:
            watch = results.mailbox.watch(WORKER)
            took = []
            for turn in range(9):
                await other.mailbox.send(WORKER, command(str(turn)))
                while not (letters := await results.mailbox.take(WORKER)):
                    await woken(watch)
                assert letters == [command(str(turn))]
                took.append(await woken(watch))
            await watch.close()
            await watch.close()
            assert statistics.median(took) < PROMPT
