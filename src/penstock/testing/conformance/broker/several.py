"""What several processes share. Not for a store in memory."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

from penstock.testing.conformance.broker.harness import DurableHarness
from penstock.testing.conformance.broker.samples import consumer, depth, fetch, gather, names, sleeping, task
from penstock.testing.conformance.elsewhere import elsewhere, line, lines


class TestSeveralProcesses:
    async def test_what_another_process_publishes_wakes_who_sleeps_here(self, durable: DurableHarness) -> None:
        pauses = []
        async with (
            durable.broker() as broker,
            consumer(broker) as taker,
            elsewhere("broker", durable, "answer") as process,
        ):
            assert await line(process) == "ready"
            assert process.stdin
            for turn in range(10):
                async with sleeping(durable, taker) as fetching:
                    process.stdin.write(f"{turn}\n".encode())
                    assert names(await fetching) == str(turn)
                    got = time.monotonic()
                pauses.append(got - float(await line(process)))
        assert sorted(pauses)[5] < 0.1

    async def test_all_may_publish_at_once(self, durable: DurableHarness) -> None:
        async with (
            durable.broker() as broker,
            elsewhere("broker", durable, "publish", "100", "1") as one,
            elsewhere("broker", durable, "publish", "100", "1") as two,
        ):
            for turn in range(100):
                await broker.publish([task(str(turn))])
            assert len(await lines(one)) == len(await lines(two)) == 100
            assert (await depth(broker)).ready == 300

    async def test_every_message_goes_to_one_process(self, durable: DurableHarness) -> None:
        wanted = sorted(str(turn) for turn in range(600))
        async with durable.broker() as broker, AsyncExitStack() as others:
            takers = [
                await others.enter_async_context(elsewhere("broker", durable, "take", f"lease-{n}")) for n in range(3)
            ]
            assert [await line(taker) for taker in takers] == ["ready"] * 3
            for name in wanted:
                await broker.publish([task(name)])
            for _ in takers:
                await broker.publish([task("end")])
            async with asyncio.timeout(60):
                found = [await lines(taker) for taker in takers]
        assert sorted(name for names_ in found for name in names_ if name) == wanted

    async def test_one_process_takes_what_another_put(self, durable: DurableHarness) -> None:
        async with durable.broker() as broker, consumer(broker) as taker:
            async with elsewhere("broker", durable, "publish", "100", "7") as process:
                written = await lines(process)
            found = await gather(taker, len(written), limit=13)
            assert names(found).split() == written
            await taker.settle(found)
            await broker.publish([task("last")])
            assert names(await fetch(taker)) == "last"
