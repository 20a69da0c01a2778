"""Queues from above: depth, pause, purge."""

from __future__ import annotations

import time

from penstock.core.broker import Declaration
from penstock.core.message import Message
from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import (
    consumer,
    depth,
    fetch,
    gather,
    names,
    nothing,
    promptly,
    sleeping,
    task,
    tasks,
    told,
)


class TestDepth:
    async def test_it_counts_what_is_ready_delayed_and_claimed(self, searchable: Harness) -> None:
        async with searchable.broker() as broker, consumer(broker) as taker:
            await broker.publish([task(priority=level) for level in range(10)])
            await broker.publish([task(due=searchable.now() + 100) for _ in range(4)])
            await fetch(taker, 3)
            now = await depth(broker)
            assert (now.ready, now.delayed, now.claimed, now.paused) == (7, 4, 3, False)

    async def test_it_lists_the_queues_that_exist_by_name(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            assert await broker.depth() == []
            for queue in ("b", "c", "a"):
                await broker.publish([task(queue=queue)])
            assert [found.name for found in await broker.depth()] == ["a", "b", "c"]
            assert [found.name for found in await broker.depth(["c", "unknown", "a"])] == ["a", "c"]

    async def test_a_declared_queue_is_there_before_its_first_message(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            await broker.declare([Declaration("b"), Declaration("a")])
            assert [(found.name, found.ready, found.paused) for found in await broker.depth()] == [
                ("a", 0, False),
                ("b", 0, False),
            ]

    async def test_to_declare_a_queue_again_changes_nothing(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a") as taker:
            await broker.publish(tasks("1", queue="a"))
            await broker.pause("a", True)
            await broker.declare([Declaration("a")])
            found = await depth(broker, "a")
            assert (found.ready, found.paused) == (1, True)
            await broker.pause("a", False)
            assert names(await fetch(taker)) == "1"

    async def test_a_queue_stays_when_it_is_empty(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1"))
            await taker.settle(await fetch(taker))
            [found] = await broker.depth()
            assert (found.name, found.ready, found.paused) == ("default", 0, False)
            assert told(found.delayed, 0)
            assert told(found.claimed, 0)

    async def test_queues_are_counted_apart(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a", "b") as taker:
            await broker.publish([task(queue="a"), task(queue="b"), task(queue="b"), task(queue="c")])
            await gather(taker, 3)
            found = await broker.depth()
            assert [each.ready for each in found] == [0, 0, 1]
            assert all(told(each.claimed, count) for each, count in zip(found, (1, 2, 0), strict=True))

    async def test_the_oldest_ready_message_is_told_where_it_is_known(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            first = harness.now()
            await broker.publish(tasks("1"))
            await harness.elapse(2)
            second = harness.now()
            await broker.publish(tasks("2", priority=9))
            found = (await depth(broker)).oldest
            assert found is None or first - 1 <= found <= second - 1
            await broker.withdraw("1")
            found = (await depth(broker)).oldest
            assert found is None or found >= second - 1
            await fetch(taker)
            assert (await depth(broker)).oldest is None


class TestPausing:
    async def test_a_paused_queue_is_passed_over_until_it_is_resumed(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a", "b") as taker:
            await broker.publish([task("1", queue="a"), task("2", queue="b")])
            await broker.pause("a", True)
            assert (await depth(broker, "a")).paused
            assert names(await fetch(taker)) == "2"
            assert await nothing(harness, taker)
            await broker.pause("a", False)
            assert not (await depth(broker, "a")).paused
            assert names(await fetch(taker)) == "1"

    async def test_it_is_paused_for_every_consumer(self, harness: Harness) -> None:
        async with harness.broker() as one, harness.broker() as other, consumer(other) as taker:
            await one.publish(tasks("1"))
            await one.pause("default", True)
            assert await nothing(harness, taker)

    async def test_a_queue_that_does_not_exist_yet_can_be_paused(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.pause("default", True)
            await broker.publish(tasks("1"))
            assert await nothing(harness, taker)
            now = await depth(broker)
            assert (now.name, now.ready, now.paused) == ("default", 1, True)

    async def test_a_sleeping_consumer_notices_at_once_that_it_is_resumed(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1"))
            await broker.pause("default", True)
            async with sleeping(harness, taker) as fetching, promptly():
                await broker.pause("default", False)
                assert names(await fetching) == "1"

    async def test_a_paused_queue_takes_messages_and_what_was_fetched_can_be_settled(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2"))
            one, two = await fetch(taker)
            await broker.pause("default", True)
            await taker.settle([one])
            await taker.hand_back([two])
            await broker.publish(tasks("3"))
            now = await depth(broker)
            assert now.ready == 2
            assert told(now.claimed, 0)

    async def test_what_comes_due_meanwhile_waits(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.pause("default", True)
            await broker.publish([task("1", due=harness.now() + 2)])
            await harness.elapse(2.1)
            assert await nothing(harness, taker)
            await broker.pause("default", False)
            assert names(await fetch(taker)) == "1"

    async def test_pausing_twice_is_fine(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            await broker.pause("default", True)
            await broker.pause("default", True)
            await broker.pause("default", False)
            assert not (await depth(broker)).paused


class TestPurging:
    async def test_it_removes_what_waits_and_nothing_else(self, searchable: Harness) -> None:
        async with searchable.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("claimed"))
            await fetch(taker)
            await broker.publish(
                [task("1"), task("2", priority=9), task("3", due=searchable.now() + 100), Message(b"raw")]
            )
            await broker.publish(tasks("elsewhere", queue="other"))
            assert sorted(await broker.purge("default")) == ["", "1", "2", "3"]
            now = await depth(broker)
            assert (now.ready, now.delayed, now.claimed) == (0, 0, 1)
            assert (await depth(broker, "other")).ready == 1

    async def test_it_works_in_portions(self, searchable: Harness) -> None:
        wanted = sorted(str(turn) for turn in range(250))
        async with searchable.broker() as broker:
            later = searchable.now() + 100
            await broker.publish([task(name, due=later if int(name) % 3 == 0 else None) for name in wanted])
            found = [await broker.purge("default", 100) for _ in range(4)]
        assert [len(portion) for portion in found] == [100, 100, 50, 0]
        assert sorted(name for portion in found for name in portion) == wanted

    async def test_what_is_ready_is_removed_in_portions_and_what_is_claimed_is_not(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("claimed"))
            held = await fetch(taker)
            await broker.publish([*tasks("1 2 3 4"), task("5", priority=9), Message(b"raw")])
            await broker.publish(tasks("elsewhere", queue="other"))
            found = [await broker.purge("default", 4) for _ in range(2)]
            assert [len(portion) for portion in found] == [4, 2]
            assert sorted(name for portion in found for name in portion) == ["", "1", "2", "3", "4", "5"]
            assert ((await depth(broker)).ready, (await depth(broker, "other")).ready) == (0, 1)
            await taker.hand_back(held)
            assert names(await fetch(taker)) == "claimed"

    async def test_an_unknown_queue_has_nothing_to_purge(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            assert await broker.purge("unknown") == []

    async def test_ten_thousand_are_gone_within_seconds(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            for _ in range(10):
                await broker.publish([task() for _ in range(1000)])
            start = time.perf_counter()
            while len(await broker.purge("default")) == 1000:
                pass
            assert time.perf_counter() - start < 10
            assert (await depth(broker)).ready == 0
