"""What the contract's suite cannot ask of the memory broker."""

from __future__ import annotations

import pytest

from penstock.brokers.memory import MemoryConsumer, open_broker
from penstock.core.ids import new_id
from penstock.core.message import Message
from penstock.core.step import Step, commit
from penstock.drivers.memory import Memory, Store


def fail(_store: Store) -> None:
    raise LookupError


async def test_a_claim_that_is_undone_leaves_every_message_in_its_place() -> None:
    driver = Memory(new_id())
    broker = open_broker("memory://", driver=driver)
    await broker.publish([Message(b"1"), Message(b"2"), Message(b"3", priority=9)])
    consumer = MemoryConsumer(driver, ["default"], "lease")
    with pytest.raises(LookupError):
        await commit(consumer.claim(["default"], 2), Step(driver, fail))
    found = await consumer.fetch(10)
    assert [delivery.message.body for delivery in found] == [b"3", b"1", b"2"]
