"""The AMQP connection against a real server: confirms, returns, errors of a channel, and a server that dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from penstock.drivers.amqp import frames, methods
from penstock.drivers.amqp.address import parse
from penstock.drivers.amqp.channel import Arrived, Broken, Channel
from penstock.drivers.amqp.connection import Connection, connect
from tests.servers import RabbitMQ

NOTHING = frames.pack_properties({"delivery_mode": 2}, {})


@pytest.fixture
def url(rabbitmq_server: RabbitMQ) -> str:
    return rabbitmq_server.fresh()


@pytest.fixture
def own_server() -> Iterator[RabbitMQ]:
    with RabbitMQ() as server:
        yield server


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    connection = await connect(parse(url))
    try:
        yield connection
    finally:
        await connection.close()


async def confirming(connection: Connection, queue: str = "q") -> Channel:
    channel = await connection.channel()
    await channel.call(methods.QUEUE_DECLARE, methods.queue_declare(queue))
    await channel.call(methods.CONFIRM_SELECT, b"\x00")
    return channel


def message(body: bytes, queue: str = "q") -> tuple[bytes, str, bytes, bytes]:
    return methods.publish("", queue), queue, NOTHING, body


class TestMessages:
    async def test_what_was_confirmed_can_be_got_in_order(self, url: str) -> None:
        bodies = [b"", b"a", bytes(range(256)) * 5000, b"z"]
        async with connected(url) as connection:
            channel = await confirming(connection)
            assert await channel.publish([message(body) for body in bodies]) == set()
            found = await channel.get([("q", 3), ("q", 5)])
            assert [each.body for each in found] == bodies
            channel.send(methods.NACK, methods.nack(found[-1].tag, multiple=True))
            again = await channel.get([("q", 100)])
            assert [(each.body, each.redelivered) for each in again] == [(body, True) for body in bodies]

    async def test_callers_that_publish_at_once_are_all_confirmed(self, url: str) -> None:
        async with connected(url) as connection:
            channel = await confirming(connection)
            await asyncio.gather(*(channel.publish([message(b"%d" % turn)] * 3) for turn in range(50)))
            assert len(await channel.get([("q", 200)])) == 150

    async def test_a_message_for_a_queue_that_is_not_there_comes_back(self, url: str) -> None:
        async with connected(url) as connection:
            channel = await confirming(connection)
            one, other = channel.publish([message(b"", "gone"), message(b"")]), channel.publish([message(b"")])
            assert (await one, await other) == ({"gone"}, set())

    async def test_a_consumer_is_given_messages(self, url: str) -> None:
        async with connected(url) as connection:
            channel = await confirming(connection)
            arrived: asyncio.Queue[Arrived] = asyncio.Queue()
            channel.deliver = arrived.put_nowait
            await channel.call(methods.QOS, methods.qos(2))
            await channel.call(methods.CONSUME, methods.consume("q", "me"))
            await channel.publish([message(b"1"), message(b"2"), message(b"3")])
            first, second = await arrived.get(), await arrived.get()
            assert (first.body, second.body, first.consumer) == (b"1", b"2", "me")
            await channel.call(methods.QOS, methods.qos(2))
            assert arrived.empty()
            channel.send(methods.ACK, methods.ack(second.tag, multiple=True))
            assert (await arrived.get()).body == b"3"


class TestErrors:
    @pytest.mark.parametrize(
        ("queue", "code"),
        [(methods.queue_declare("unknown", passive=True), 404), (methods.queue_declare("q", durable=False), 406)],
        ids=["unknown", "other arguments"],
    )
    async def test_a_fault_costs_its_channel_only(self, url: str, queue: bytes, code: int) -> None:
        async with connected(url) as connection:
            good, bad = await confirming(connection), await connection.channel()
            pending: list[asyncio.Future[Any]] = [bad.call(methods.QUEUE_DECLARE, queue), bad.get([("q", 5)])]
            for each in pending:
                with pytest.raises(Broken) as caught:
                    await each
                assert caught.value.code == code
            with pytest.raises(Broken):
                bad.send(methods.ACK, methods.ack(1))
            assert await good.publish([message(b"1")]) == set()

    async def test_somebody_elses_exclusive_queue_is_locked(self, url: str) -> None:
        async with connected(url) as one, connected(url) as other:
            channel = await one.channel()
            await channel.call(methods.QUEUE_DECLARE, methods.queue_declare("mine", exclusive=True))
            with pytest.raises(Broken) as caught:
                await (await other.channel()).call(methods.QUEUE_DECLARE, methods.queue_declare("mine", passive=True))
            assert caught.value.code == 405

    async def test_a_wrong_password_and_an_unknown_virtual_host_are_told(self, rabbitmq_server: RabbitMQ) -> None:
        for url, code in ((f"amqp://guest:wrong@127.0.0.1:{rabbitmq_server.port}//", 403),
                          (f"{rabbitmq_server.url.rsplit('/', 1)[0]}/nowhere", 530)):  # fmt: skip
            with pytest.raises(Broken) as caught:
                await connect(parse(url))
            assert caught.value.code == code
            assert "wrong" not in str(caught.value)

    async def test_the_first_host_that_answers_is_taken(self, url: str) -> None:
        nobody = "amqp://127.0.0.1:1//"
        async with connected(f"{url};{nobody}"):
            pass
        with pytest.raises(Broken, match=r"127\.0\.0\.1:1"):
            await connect(parse(nobody))

    async def test_everybody_hears_of_a_server_that_dies(self, own_server: RabbitMQ) -> None:
        async with connected(own_server.url) as connection:
            channel = await confirming(connection)
            gone = asyncio.Event()
            connection.closed = gone.set
            await asyncio.to_thread(own_server.freeze)
            waiting: list[asyncio.Future[Any]] = [channel.publish([message(b"1")]), channel.get([("q", 1)])]
            await asyncio.to_thread(own_server.kill)
            for each in waiting:
                with pytest.raises(Broken):
                    await each
            await gone.wait()
            with pytest.raises(Broken):
                await connection.channel()
        await asyncio.to_thread(own_server.start)
        async with connected(own_server.url) as connection:
            await confirming(connection)
