"""What comes out is what went in."""

from __future__ import annotations

import copy

import pytest

from penstock.core.message import Message
from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import consumer, depth, fetch, names, task, told

HEADERS = {
    "id": "t", "task": "päckchen.wägen", "lang": "py", "argsrepr": "('Grüße, 世界 🐈',)", "retries": 0, "eta": None,
    "timelimit": [None, 1.5], "stamps": {"a": [1, {"b": False}]}, "large": 2**53, "empty": {}, "line": "one\n\ttwo\x00",
}  # fmt: skip
PROPERTIES = {
    "correlation_id": "t", "reply_to": "", "delivery_mode": 2, "priority": 5, "content_type": "application/json",
    "content_encoding": "utf-8",
}  # fmt: skip


class TestPublishing:
    async def test_headers_properties_body_queue_and_priority_arrive_unchanged(self, harness: Harness) -> None:
        sent = Message('[["Grüße"], {}, {}]'.encode(), HEADERS, PROPERTIES, "parcels", 5)
        async with harness.broker() as broker, consumer(broker, "parcels") as taker:
            await broker.publish([copy.deepcopy(sent)])
            [delivery] = await fetch(taker)
        assert delivery.message == sent
        assert not delivery.redelivered

    async def test_a_raw_message_is_its_body_alone(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([Message(b"raw")])
            [delivery] = await fetch(taker)
        assert (delivery.message.body, delivery.message.headers, delivery.message.task_id) == (b"raw", {}, "")

    @pytest.mark.parametrize(
        "body",
        [b"", bytes(range(256)) * 3, b"\x00", "🐈 'quoted' \"%s\" \\".encode(), b"\xff\xfe broken utf-8"],
        ids=["empty", "every byte value", "zero", "unicode", "not text"],
    )
    async def test_a_body_is_bytes_and_nothing_else(self, harness: Harness, body: bytes) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([Message(body)])
            [delivery] = await fetch(taker)
        assert delivery.message.body == body

    async def test_a_body_of_a_megabyte_arrives_whole(self, harness: Harness) -> None:
        body = bytes(range(256)) * 4096
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([Message(body), Message(body[::-1])])
            bodies = [(await fetch(taker, 1))[0].message.body for _ in range(2)]
        assert bodies == [body, body[::-1]]

    @pytest.mark.parametrize("queue", ["a.b-c_d", "mit Leerzeichen", "Ünïcödé 🐈", 'it\'s "quoted" %_*?;--', "q" * 200])
    async def test_a_queue_may_have_any_name(self, harness: Harness, queue: str) -> None:
        async with harness.broker() as broker, consumer(broker, queue) as taker:
            await broker.publish([task("t", queue=queue)])
            [delivery] = await fetch(taker)
            assert delivery.message.queue == queue
            assert told((await depth(broker, queue)).claimed, 1)

    async def test_a_message_that_its_publisher_changes_afterwards_stays_as_it_was_sent(self, harness: Harness) -> None:
        message = task("t")
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([message])
            message.headers["id"] = "changed"
            assert names(await fetch(taker)) == "t"

    async def test_publishing_nothing_is_fine(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            await broker.publish([])
            assert await broker.depth() == []

    async def test_two_messages_of_one_task_are_two_messages(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([task("t"), task("t")])
            assert names(await fetch(taker)) == "t t"

    async def test_one_batch_may_go_to_several_queues(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker, "a") as one, consumer(broker, "b") as other:
            await broker.publish([task("1", queue="a"), task("2", queue="b"), task("3", queue="a")])
            assert names(await fetch(one)) == "1 3"
            assert names(await fetch(other)) == "2"

    async def test_an_answer_of_the_broker_means_that_it_takes_messages(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            await broker.ping()

    async def test_opening_and_closing_twice_is_fine(self, harness: Harness) -> None:
        async with harness.broker() as broker:
            await broker.open()
            await broker.publish([task()])
            await broker.close()
            await broker.close()
