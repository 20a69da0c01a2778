"""Batches: their limits, and that no two consumers get the same."""

from __future__ import annotations

import asyncio
import time

from penstock.core.broker import Broker, Consumer
from penstock.core.message import Message
from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import consumer, depth, fetch, gather, names, task, tasks

MIB = 1024 * 1024


class TestBatches:
    async def test_a_batch_holds_no_more_than_was_asked_for(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2 3 4 5"))
            assert names(await fetch(taker, 1)) == "1"
            assert names(await fetch(taker, 3)) == "2 3 4"
            assert names(await fetch(taker, 10)) == "5"

    async def test_a_batch_holds_at_most_a_hundred_messages(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([task() for _ in range(150)])
            assert len(await fetch(taker, 1000)) <= 100
            assert (await depth(broker)).ready >= 50

    async def test_a_batch_holds_at_most_four_mebibytes(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([Message(bytes([turn]) * MIB) for turn in range(10)])
            found: list[int] = []
            while len(found) < 10:
                batch = await fetch(taker)
                assert sum(len(each.message.body) for each in batch) <= 4 * MIB
                found += [each.message.body[0] for each in batch]
        assert found == list(range(10))

    async def test_a_larger_message_is_a_batch_of_its_own(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([Message(b"a"), Message(b"b" * (5 * MIB)), Message(b"c")])
            found = [[each.message.body[:1] for each in await fetch(taker)] for _ in range(3)]
        assert found == [[b"a"], [b"b"], [b"c"]]


async def drain(broker: Broker, lease: str, done: asyncio.Event) -> list[str]:
    """What one of several consumers gets, settling as it goes, until all is done."""
    found: list[str] = []

    async def take(taker: Consumer) -> None:
        while batch := await taker.fetch(7):
            found.extend(names(batch).split())
            await taker.settle(batch)
            if not await left(broker):
                done.set()

    async with consumer(broker, lease=lease) as taker:
        taking = asyncio.create_task(take(taker))
        await done.wait()
        await taker.stop()
        await taking
    return found


async def left(broker: Broker) -> int:
    now = await depth(broker)
    return now.ready + (now.claimed or 0)


class TestSeveralConsumers:
    async def test_every_message_goes_to_one_of_them(self, harness: Harness) -> None:
        wanted = sorted(str(turn) for turn in range(500))
        async with harness.broker() as one, harness.broker() as other:
            await one.publish([task(name) for name in wanted])
            done = asyncio.Event()
            async with asyncio.timeout(60):
                takers = [drain((one, other)[turn % 2], f"lease-{turn}", done) for turn in range(4)]
                found = await asyncio.gather(*takers)
        assert sorted(name for names_ in found for name in names_) == wanted

    async def test_they_get_messages_while_others_publish(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            sent = asyncio.gather(*(publish(broker, str(turn)) for turn in range(100)))
            found = await gather(taker, 100)
            await sent
        assert sorted(names(found).split()) == sorted(str(turn) for turn in range(100))


async def publish(broker: Broker, name: str) -> None:
    await broker.publish([task(name)])


class TestBacklog:
    async def test_a_hundred_thousand_waiting_cost_no_more_than_a_thousand(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await fill(broker, 2_000)
            few = await pace(broker, taker)
            await fill(broker, 100_000)
            assert (await depth(broker)).ready >= 100_000
            many = await pace(broker, taker)
        # ten times would still be far from a walk over the backlog, and far from the noise of a busy machine
        assert many < 10 * few + 0.5


async def fill(broker: Broker, count: int) -> None:
    for _ in range(count // 1000):
        await broker.publish([task() for _ in range(1000)])


async def pace(broker: Broker, taker: Consumer) -> float:
    """Seconds that ten rounds of publishing, fetching and settling a hundred take."""
    start = time.perf_counter()
    for _ in range(10):
        await broker.publish([task() for _ in range(100)])
        await taker.settle(await fetch(taker))
    return time.perf_counter() - start
