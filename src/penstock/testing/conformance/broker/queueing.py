"""The order of delivery: higher priority step first, then first in first out; several queues get equal turns."""

from __future__ import annotations

from collections import Counter

from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import consumer, fetch, gather, names, nothing, task, tasks


class TestOrder:
    async def test_first_in_first_out(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2 3"))
            await broker.publish(tasks("4"))
            await broker.publish(tasks("5 6"))
            assert names(await gather(taker, 6)) == "1 2 3 4 5 6"

    async def test_the_order_goes_across_publishers(self, harness: Harness) -> None:
        async with harness.broker() as one, harness.broker() as other, consumer(one) as taker:
            for name in range(6):
                await (one, other)[name % 2].publish([task(str(name))])
            assert names(await gather(taker, 6)) == "0 1 2 3 4 5"

    async def test_the_order_goes_across_batches(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks(" ".join(map(str, range(30)))))
            found = [names(await fetch(taker, limit)) for limit in (1, 2, 3, 10, 14)]
        assert " ".join(found) == " ".join(map(str, range(30)))

    async def test_higher_steps_go_first_whatever_the_order_of_publishing(self, harness: Harness) -> None:
        steps = [0, 9, 3, 6, 6, 3, 9, 0, 3, 9] * 2
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([task(f"{step}-{turn}", priority=step) for turn, step in enumerate(steps)])
            found = names(await gather(taker, 20, limit=7)).split()
        assert found == sorted(found, key=lambda name: (-int(name[0]), int(name[2:])))

    async def test_levels_of_one_step_are_equals(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([task(str(level), priority=level) for level in (-5, 0, 1, 2, 3, 4, 5, 7, 8, 6, 9, 99)])
            assert names(await gather(taker, 12)) == "9 99 7 8 6 3 4 5 -5 0 1 2"

    async def test_the_priority_itself_arrives(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([task(priority=level) for level in range(10)])
            assert sorted(found.message.priority for found in await gather(taker, 10)) == list(range(10))

    async def test_an_urgent_message_overtakes_those_that_wait(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2 3 4"))
            assert names(await fetch(taker, 2)) == "1 2"
            await broker.publish([task("urgent", priority=9)])
            assert names(await gather(taker, 3)) == "urgent 3 4"


class TestTurns:
    async def test_a_consumer_gets_from_its_own_queues_only(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a") as taker:
            await broker.publish(tasks("1 2", queue="b"))
            assert await nothing(harness, taker)
            await broker.publish(tasks("3", queue="a"))
            assert names(await fetch(taker)) == "3"

    async def test_queues_get_equal_turns_within_a_batch(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a", "b", "c") as taker:
            for queue in "abc":
                await broker.publish([task(queue=queue) for _ in range(50)])
            for _ in range(4):
                turns = Counter(found.message.queue for found in await gather(taker, 12))
                assert max(turns.values()) - min(turns[queue] for queue in "abc") <= 1

    async def test_queues_get_equal_turns_when_messages_are_taken_one_by_one(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a", "b") as taker:
            await broker.publish([task(queue="a") for _ in range(50)])
            await broker.publish([task(queue="b") for _ in range(50)])
            turns = Counter([(await fetch(taker, 1))[0].message.queue for _ in range(20)])
        assert abs(turns["a"] - turns["b"]) <= 2

    async def test_a_queue_keeps_its_own_order_beside_others(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a", "b") as taker:
            await broker.publish([task(f"{turn}", queue="ab"[turn % 3 == 0]) for turn in range(30)])
            found = await gather(taker, 30, limit=8)
        for queue in "ab":
            mine = [int(each.message.task_id) for each in found if each.message.queue == queue]
            assert mine == sorted(mine)

    async def test_an_empty_queue_takes_nothing_from_the_others(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "empty", "full", "unknown") as taker:
            await broker.publish([task(queue="full") for _ in range(20)])
            assert len(await fetch(taker, 20)) == 20

    async def test_a_higher_step_goes_before_the_lower_ones_of_other_queues(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a", "b") as taker:
            await broker.publish(tasks("1 2 3", queue="a"))
            await broker.publish(tasks("4 5", queue="b", priority=6))
            found = names(await gather(taker, 5, limit=2)).split()
        assert found[:2] == ["4", "5"]

    async def test_naming_a_queue_twice_changes_nothing(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a", "a") as taker:
            await broker.publish(tasks("1 2 3", queue="a"))
            assert names(await fetch(taker)) == "1 2 3"
