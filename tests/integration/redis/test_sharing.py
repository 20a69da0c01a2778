"""A queue in Redis that others write to and read from: what they push wakes us, what we hold they leave alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from penstock.brokers.redis import RedisBroker, doorstep, open_broker
from penstock.testing.conformance.results.samples import message
from tests.servers import Redis

#: a message of a Celery producer, in all that matters here
FOREIGN = (
    '{"body": "W1tdLCB7fSwge31d", "content-encoding": "utf-8", "content-type": "application/json", '
    '"headers": {"task": "add", "id": "t"}, "properties": {"delivery_info": {"exchange": "", "routing_key": "default"}'
    ', "priority": 0, "body_encoding": "base64", "delivery_tag": "1f21f4c2-c439-4fdf-9786-15304bfaf5bc"}}'
)


class Clock:
    """A clock that is put forward by hand."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@asynccontextmanager
async def broker(url: str, **given: Any) -> AsyncIterator[RedisBroker]:
    made = open_broker(url, **given)
    assert isinstance(made, RedisBroker)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


class TestPushesOfOthers:
    async def test_one_wakes_who_sleeps(self, redis_server: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doorstep, "NET", 300.0)  # it is woken, and not caught
        async with broker(redis_server.fresh()) as one:
            consumer = one.consume(["default"], "lease")
            for _ in range(3):
                waits = asyncio.create_task(consumer.fetch(10))
                await asyncio.sleep(0.2)
                await one.driver.ask([("LPUSH", "default", FOREIGN)])
                async with asyncio.timeout(60):
                    (found,) = await waits
                assert found.message.task_id == "t"
                await consumer.settle([found])
            await consumer.stop()

    async def test_who_waits_at_the_door_takes_nothing(self, redis_server: Redis) -> None:
        async with broker(redis_server.fresh()) as one:
            await one.pause("default", True)
            await one.driver.ask([("CONFIG", "RESETSTAT")])  # others have moved things on this server, too
            consumer = one.consume(["default"], "lease")
            waits = asyncio.create_task(consumer.fetch(10))
            await asyncio.sleep(0.2)
            names = [FOREIGN.replace('"id": "t"', f'"id": "t{number}"') for number in range(3)]
            for name in names:
                await one.driver.ask([("LPUSH", "default", name)])
            await asyncio.sleep(0.5)
            [waiting] = await one.driver.ask([("LRANGE", "default", 0, -1)])
            assert [each.decode() for each in waiting] == names[::-1]
            [told] = await one.driver.ask([("INFO", "commandstats")])
            assert not waits.done()
            # it does not go round and round before a paused queue
            moves = [line for line in told.decode().splitlines() if line.startswith("cmdstat_blmove:")]
            assert int(moves[0].partition("calls=")[2].partition(",")[0]) < 50
            await consumer.stop()
            assert await waits == []


class TestWhatIsHeld:
    async def test_all_of_it_is_entered_anew_and_nothing_else(self, redis_server: Redis) -> None:
        async with broker(f"{redis_server.fresh()}?visibility_timeout=40") as one:
            await one.publish([message(f"t{number}") for number in range(1500)])
            consumer = one.consume(["default"], "mine")
            held = 0
            while held < 1500:
                held += len(await consumer.fetch(100))
            [names] = await one.driver.ask([("ZRANGE", "unacked_index", 0, -1)])
            others = ["1f21f4c2-c439-4fdf-9786-15304bfaf5bc", "penstock|other|0|t~1"]
            entries = [value for name in (*names, *others) for value in (1_000_000, name)]
            await one.driver.ask([("ZADD", "unacked_index", *entries)])
            keep = one.keep(["mine", "another"])
            assert keep is not None
            await keep
            [left] = await one.driver.ask([("ZRANGEBYSCORE", "unacked_index", "-inf", time.time() - 10)])
            assert sorted(name.decode() for name in left) == sorted(others)
            await consumer.stop()


class TestWhatOthersTook:
    async def test_the_index_of_what_waits_does_not_grow_with_it(self, redis_server: Redis) -> None:
        clock = Clock()
        async with broker(redis_server.fresh(), clock=clock) as one:
            await one.publish([message(f"first-{number}") for number in range(500)])
            for turn in range(40):
                clock.ahead += 10
                await one.publish([message(f"{turn}-{number}") for number in range(100)])
                await one.driver.ask([("RPOP", "default", 100)])  # never empty
            (depth,) = await one.depth(["default"])
            assert depth.ready == 500
            [indexed] = await one.driver.ask([("ZCARD", "penstock:waiting:default")])
            assert indexed < 2500  # 4,500 were published
            newest = await one.withdraw("39-99")
            assert newest.removed == 1
