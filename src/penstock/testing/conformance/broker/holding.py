"""Who holds messages."""

from __future__ import annotations

from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import consumer, fetch, tasks


class TestHolders:
    async def test_those_who_have_claimed_are_named_once_each(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, lease="1") as one, consumer(broker, lease="2") as other:
            await broker.publish(tasks("1 2 3"))
            await fetch(one, 2)
            await fetch(other)
            assert sorted(await broker.holders()) == ["1", "2"]

    async def test_nobody_is_named_for_messages_that_wait(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            await broker.publish(tasks("1 2"))
            assert await broker.holders() == []

    async def test_who_has_settled_or_handed_back_everything_is_not_named(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2"))
            one, two = await fetch(taker)
            await taker.settle([one])
            assert await broker.holders() == ["lease"]
            await taker.hand_back([two])
            assert await broker.holders() == []

    async def test_a_released_lease_is_not_named(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1"))
            await fetch(taker)
            await broker.release(["lease"])
            assert await broker.holders() == []
