"""What outlives processes. Not for a store in memory."""

from __future__ import annotations

from penstock.testing.conformance.broker.harness import DurableHarness
from penstock.testing.conformance.broker.samples import (
    consumer,
    depth,
    fetch,
    gather,
    names,
    nothing,
    task,
    tasks,
    told,
)
from penstock.testing.conformance.elsewhere import elsewhere, line, lines


class TestDurability:
    async def test_what_was_published_is_there_after_closing_and_opening(self, durable: DurableHarness) -> None:
        due = durable.now() + 1
        async with durable.broker() as broker, consumer(broker, "a", lease="gone") as taker:
            await broker.publish([*tasks("1 2", queue="a"), task("later", queue="a", due=due)])
            await fetch(taker, 1)
            await broker.pause("b", True)
        async with durable.broker() as broker, consumer(broker, "a") as taker:
            assert [(found.name, found.paused) for found in await broker.depth()] == [("a", False), ("b", True)]
            await broker.release(["gone"])
            found = await gather(taker, 3)
            assert durable.now() >= due
            assert sorted(names(found).split()) == ["1", "2", "later"]

    async def test_claims_outlive_the_connection_that_made_them(self, keeping: DurableHarness) -> None:
        async with keeping.broker() as broker, consumer(broker, lease="gone") as taker:
            await broker.publish([*tasks("1 2"), task("later", due=keeping.now() + 100)])
            await fetch(taker, 1)
        async with keeping.broker() as broker:
            now = await depth(broker)
            assert (now.ready, now.delayed, now.claimed) == (1, 1, 1)
            assert await broker.release(["gone"]) == ["1"]

    async def test_what_was_settled_stays_settled(self, durable: DurableHarness) -> None:
        async with durable.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2"))
            await taker.settle(await fetch(taker, 1))
        async with durable.broker() as broker, consumer(broker, lease="other") as taker:
            await broker.release(["lease"])
            assert names(await fetch(taker)) == "2"

    async def test_a_killed_publisher_leaves_what_it_was_answered(self, durable: DurableHarness) -> None:
        async with durable.broker() as broker, consumer(broker) as taker:
            async with elsewhere("broker", durable, "publish", "1000000", "1") as process:
                first = [await line(process) for _ in range(50)]
                process.kill()
                answered = first + (await lines(process))[:-1]  # the last line may be cut off in its middle
            found = names(await gather(taker, len(answered))).split()
            assert found == answered

    async def test_a_killed_publisher_leaves_no_half_of_a_batch(self, keeping: DurableHarness) -> None:
        async with keeping.broker() as broker:
            async with elsewhere("broker", keeping, "publish", "1000000", "10") as process:
                await line(process)
                process.kill()
            assert (await depth(broker)).ready % 10 == 0

    async def test_what_a_killed_consumer_held_comes_again(self, durable: DurableHarness) -> None:
        async with durable.broker() as broker, consumer(broker) as taker:
            await broker.publish([task(str(turn)) for turn in range(20)])
            async with elsewhere("broker", durable, "hold", "its lease", "5") as process:
                held = [await line(process) for _ in range(5)]
                process.kill()
            assert told((await depth(broker)).claimed, 5)
            assert set(await broker.release(["its lease"])) <= set(held)
            found = await gather(taker, 20)
            assert {each.message.task_id for each in found if each.redelivered} == set(held)
            assert await nothing(durable, taker)

    async def test_what_a_killed_consumer_held_is_told_when_it_is_released(self, keeping: DurableHarness) -> None:
        async with keeping.broker() as broker:
            await broker.publish([task(str(turn)) for turn in range(20)])
            async with elsewhere("broker", keeping, "hold", "its lease", "5") as process:
                held = [await line(process) for _ in range(5)]
                process.kill()
            assert (await depth(broker)).claimed == 5
            assert sorted(await broker.release(["its lease"])) == sorted(held)
