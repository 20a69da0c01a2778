"""A claim that the server carried out and whose answer got lost: nobody else may have it, so its consumer must."""

from __future__ import annotations

import asyncio

import pytest

from penstock.core.broker import Consumer
from penstock.core.errors import Unavailable
from penstock.core.message import Message
from tests import servers
from tests.places import Place


@pytest.mark.parametrize("name", ["postgres", "redis"])
async def test_it_is_found_by_the_next_fetch(name: str, request: pytest.FixtureRequest) -> None:
    server: servers.Server = request.getfixturevalue(f"{name}_server")
    place = Place(name, server.fresh())
    broker = place.module("brokers").open_broker(place.url)
    await broker.open()
    try:
        await broker.publish([Message(b"%d" % number) for number in range(5)])
        consumer: Consumer = broker.consume(["default"], "mine")
        first = await consumer.fetch(2)
        claim = consumer.claim  # type: ignore[attr-defined]

        async def answer_lost(queues: tuple[str, ...], limit: int) -> None:
            await claim(queues, limit)
            raise Unavailable("the connection was lost")

        consumer.claim = answer_lost  # type: ignore[attr-defined]
        with pytest.raises(Unavailable):
            await consumer.fetch(2)
        consumer.claim = claim  # type: ignore[attr-defined]
        async with asyncio.timeout(30):
            second = await consumer.fetch(2)
            third = await consumer.fetch(2)
        bodies = [each.message.body for each in (*first, *second, *third)]
        assert sorted(bodies) == [b"%d" % number for number in range(5)]
        await consumer.settle([*first, *second, *third])
        (depth,) = await broker.depth(["default"])
        assert (depth.ready, depth.claimed) == (0, 0)
        await consumer.stop()
    finally:
        await broker.close()
