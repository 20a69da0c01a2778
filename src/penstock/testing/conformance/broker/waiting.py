"""A fetch that finds nothing sleeps, and wakes at once when there is something, or when it is told to."""

from __future__ import annotations

import asyncio
import time

from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import (
    PATIENCE,
    consumer,
    fetch,
    names,
    nothing,
    promptly,
    sleeping,
    tasks,
)


class TestWaking:
    async def test_a_sleeping_fetch_gets_a_new_message_at_once(self, harness: Harness) -> None:
        pauses = []
        async with harness.broker() as broker, harness.broker() as publisher, consumer(broker) as taker:
            for turn in range(10):
                async with sleeping(harness, taker) as fetching:
                    start = time.perf_counter()
                    await publisher.publish(tasks(str(turn)))
                    assert names(await fetching) == str(turn)
                    pauses.append(time.perf_counter() - start)
        # a broker that polls would show its period here; one slow turn is a busy machine's
        assert sorted(pauses)[5] < 0.1

    async def test_every_sleeper_wakes_that_has_something_to_do(self, harness: Harness) -> None:
        async with (
            harness.broker() as broker,
            consumer(broker, "a", lease="1") as one,
            consumer(broker, "b", lease="2") as other,
            sleeping(harness, one) as first,
            sleeping(harness, other) as second,
        ):
            await broker.publish([*tasks("1", queue="a"), *tasks("2", queue="b")])
            assert (names(await first), names(await second)) == ("1", "2")

    async def test_what_comes_while_nobody_waits_is_found_at_once(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            assert await nothing(harness, taker)
            await broker.publish(tasks("1"))
            start = time.perf_counter()
            assert names(await fetch(taker)) == "1"
            assert time.perf_counter() - start < 0.5 + harness.quiet


class TestInterrupting:
    async def test_a_nudge_ends_a_waiting_fetch(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            async with sleeping(harness, taker) as fetching, promptly():
                taker.nudge()
                assert await fetching == []
            await broker.publish(tasks("1"))
            assert names(await fetch(taker)) == "1"

    async def test_a_nudge_beforehand_does_not_lose_messages(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            taker.nudge()
            await broker.publish(tasks("1"))
            batch = await fetch(taker) or await fetch(taker)
            assert names(batch) == "1"

    async def test_a_stop_ends_a_waiting_fetch_and_all_later_ones(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            async with sleeping(harness, taker) as fetching, promptly():
                await taker.stop()
                assert await fetching == []
            await broker.publish(tasks("1"))
            async with asyncio.timeout(PATIENCE):
                assert await taker.fetch(1) == []

    async def test_a_stopped_consumer_leaves_the_messages_to_others(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            async with sleeping(harness, one):
                await one.stop()
            await broker.publish(tasks("1 2"))
            assert names(await fetch(other)) == "1 2"

    async def test_stopping_twice_or_before_fetching_is_fine(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await taker.stop()
            await taker.stop()
            assert await taker.fetch(1) == []
