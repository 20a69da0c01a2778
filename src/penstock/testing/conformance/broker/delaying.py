"""Messages whose time has not come wait in the broker."""

from __future__ import annotations

import asyncio

from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import (
    PATIENCE,
    consumer,
    depth,
    fetch,
    gather,
    names,
    nothing,
    sleeping,
    task,
    tasks,
    told,
)


class TestDelays:
    async def test_a_delayed_message_is_passed_over_until_its_time(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([task("later", due=harness.now() + 3), task("now")])
            assert names(await fetch(taker)) == "now"
            assert await nothing(harness, taker)
            await harness.elapse(3.1)
            assert names(await fetch(taker)) == "later"

    async def test_no_message_is_delivered_early(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            start = harness.now()
            due = {str(turn): start + turn * 0.037 for turn in range(40)}
            await broker.publish([task(name, due=at) for name, at in reversed(due.items())])
            left = set(due)
            while left:
                for found in await fetch(taker):
                    assert harness.now() >= due[found.message.task_id]
                    left.remove(found.message.task_id)

    async def test_a_past_time_does_not_delay(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([task("1", due=harness.now() - 100), task("2", due=1.0), task("3")])
            assert names(await fetch(taker)) == "1 2 3"

    async def test_a_sleeping_fetch_gets_a_message_when_its_time_comes(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            due = harness.now() + harness.quiet + 0.4
            await broker.publish([task("soon", due=due)])
            async with sleeping(harness, taker) as fetching:
                assert names(await fetching) == "soon"
            assert due <= harness.now() < due + 2

    async def test_a_nearer_time_published_meanwhile_shortens_the_sleep(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([task("far", due=harness.now() + 3600)])
            async with sleeping(harness, taker) as fetching:
                due = harness.now() + 0.3
                await broker.publish([task("near", due=due)])
                assert names(await fetching) == "near"
            assert due <= harness.now() < due + 2

    async def test_the_priority_counts_among_those_that_are_due(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            due = harness.now() + 3
            await broker.publish([task("low", due=due), task("high", due=due, priority=9)])
            await harness.elapse(3.1)
            await broker.publish(tasks("middle", priority=3))
            assert names(await gather(taker, 3)) == "high middle low"

    async def test_many_that_are_due_at_once_all_come(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            due = harness.now() + 5
            wanted = {str(turn) for turn in range(2500)}
            await broker.publish([task(name, due=due) for name in wanted])
            assert told((await depth(broker)).delayed, 2500)
            await harness.elapse(5.1)
            assert set(names(await gather(taker, 2500)).split()) == wanted

    async def test_every_sleeping_consumer_may_get_what_is_due(self, harness: Harness) -> None:
        async with (
            harness.broker() as broker,
            consumer(broker, "a", lease="1") as one,
            consumer(broker, "b", lease="2") as other,
            sleeping(harness, one) as first,
            sleeping(harness, other) as second,
            asyncio.timeout(PATIENCE),
        ):
            due = harness.now() + 0.2
            await broker.publish([task("1", queue="a", due=due), task("2", queue="b", due=due)])
            assert (names(await first), names(await second)) == ("1", "2")
