"""What only RabbitMQ has: kinds of queues, what is told of a wrong URL, outages of a connection, answers to askers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from penstock.brokers.rabbitmq import RabbitBroker, open_broker
from penstock.brokers.rabbitmq import consumer as consuming
from penstock.brokers.rabbitmq.topology import lane
from penstock.core.answers import reply
from penstock.core.broker import Declaration
from penstock.core.errors import ConfigurationError, MessageTooLarge, StorageError, Unavailable
from penstock.core.message import Delivery, Message
from penstock.core.record import Ending
from penstock.drivers.amqp import frames, methods
from penstock.drivers.amqp.channel import Channel
from penstock.drivers.rabbitmq import line as lines
from penstock.testing.conformance.broker.samples import consumer, fetch, gather, names, task, tasks
from tests.proxy import Proxy
from tests.servers import RabbitMQ


@pytest.fixture
def url(rabbitmq_server: RabbitMQ) -> str:
    return rabbitmq_server.fresh()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RabbitBroker]:
    broker = open_broker(url)
    assert isinstance(broker, RabbitBroker)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


async def plain(broker: RabbitBroker) -> Channel:
    return await broker.driver.working.channel()


async def declare(broker: RabbitBroker, queue: str, **arguments: Any) -> None:
    given = {name.replace("_", "-"): value for name, value in arguments.items()}
    channel = await plain(broker)
    await channel.call(methods.QUEUE_DECLARE, methods.queue_declare(queue, arguments=given))


class TestKindsOfQueues:
    async def test_a_quorum_queue_gives_batches_and_takes_back(self, url: str) -> None:
        async with opened(url) as broker, consumer(broker) as taker:
            await declare(broker, "default", x_queue_type="quorum")
            await broker.publish(tasks(" ".join(map(str, range(250)))))
            found = await gather(taker, 250)
            assert sorted(map(int, names(found).split())) == list(range(250))
            await taker.settle(found[3:])
            await taker.hand_back(found[:3])
            again = await gather(taker, 3)
            assert (sorted(names(again).split()), [each.redelivered for each in again]) == (
                ["0", "1", "2"],
                [False] * 3,
            )
            await taker.settle(again)
            assert (await broker.depth(["default"]))[0].ready == 0

    async def test_what_a_lost_connection_held_of_a_quorum_queue_comes_again(self, url: str) -> None:
        async with opened(url) as one, opened(url) as other, consumer(other) as taker:
            await declare(one, "default", x_queue_type="quorum")
            await one.publish(tasks("1 2"))
            assert len(await gather(one.consume(["default"], "lease"), 2)) == 2
            await one.close()
            again = await gather(taker, 2)
            assert (sorted(names(again).split()), [each.redelivered for each in again]) == (["1", "2"], [True, True])

    async def test_a_queue_that_sorts_by_priority_itself_is_given_celery_s_numbers(self, url: str) -> None:
        async with opened(url) as broker, consumer(broker) as taker:
            await declare(broker, "default", x_max_priority=10)
            for level in (1, 9, 5):
                sent = task(str(level), priority=level)
                sent.properties["priority"] = level
                await broker.publish([sent])
            assert names(await gather(taker, 3)) == "9 5 1"
            assert await broker.topology.count(lane("default", 9)) is None

    async def test_with_celery_s_scheme_there_are_no_lanes(self, url: str) -> None:
        async with opened(f"{url}?priority_scheme=celery") as broker, consumer(broker) as taker:
            await broker.publish([*tasks("1"), task("2", priority=9)])
            assert names(await gather(taker, 2)) == "1 2"

    async def test_a_new_lane_is_heard_of_by_consumers_that_sleep(self, url: str) -> None:
        async with opened(url) as one, opened(url) as other, consumer(one) as taker:
            fetching = asyncio.create_task(fetch(taker))
            await asyncio.sleep(0.3)
            await other.publish([task("urgent", priority=9)])
            assert names(await fetching) == "urgent"

    async def test_a_queue_that_was_deleted_comes_back(self, url: str) -> None:
        async with opened(url) as broker, consumer(broker) as taker:
            await broker.publish(tasks("1"))
            await taker.settle(await fetch(taker))
            await (await plain(broker)).call(methods.QUEUE_DELETE, methods.queue_delete("default"))
            await broker.publish(tasks("2"))
            try:
                found = await fetch(taker)
            except (Unavailable, StorageError):  # it was consuming when its queue went
                found = await fetch(taker)
            assert names(found) == "2"


class TestAFlow:
    """Where one full batch follows the other the server sends ahead; what is ahead is nobody's."""

    @pytest.fixture(autouse=True)
    def unhurried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(consuming, "_SOON", 60.0)

    async def flowing(self, broker: RabbitBroker, taker: Any) -> None:
        """200 messages are taken of 600 and settled, and the server has sent more."""
        await broker.publish([task(str(number)) for number in range(600)])
        for _ in range(2):
            batch = await fetch(taker)
            assert len(batch) == 100
            await taker.settle(batch)
        assert taker._flowing
        await self.ahead(taker)

    async def ahead(self, taker: Any) -> None:
        async with asyncio.timeout(20):
            while not taker._shelf:  # noqa: ASYNC110 - who waits for a message takes it
                await asyncio.sleep(0.01)

    async def test_what_is_not_wanted_any_more_goes_to_others_unmarked_in_its_order(self, url: str) -> None:
        async with opened(url) as one, opened(url) as two, consumer(one) as taker, consumer(two) as other:
            await self.flowing(one, taker)
            found = await gather(other, 400)
            assert names(found).split() == [str(number) for number in range(200, 600)]
            assert not any(each.redelivered for each in found)

    async def test_who_wants_less_gets_less_and_leaves_the_others(self, url: str) -> None:
        async with opened(url) as one, opened(url) as two, consumer(one) as taker, consumer(two) as other:
            await self.flowing(one, taker)
            assert names(await fetch(taker, 5)) == "200 201 202 203 204"
            assert len(await gather(other, 395)) == 395

    async def test_a_stop_gives_back_what_is_ahead(self, url: str) -> None:
        async with opened(url) as one, opened(url) as two, consumer(one) as taker, consumer(two) as other:
            await self.flowing(one, taker)
            await taker.stop()
            assert names(await gather(other, 400)).split() == [str(number) for number in range(200, 600)]

    async def test_a_higher_level_is_read_first_although_others_are_ahead(self, url: str) -> None:
        async with opened(url) as broker, consumer(broker) as taker:
            await broker.publish([task("before", priority=9)])
            await taker.settle(await fetch(taker))
            await self.flowing(broker, taker)
            await broker.publish([task("urgent", priority=9)])
            async with asyncio.timeout(20):
                while names(batch := await fetch(taker, 100)).split()[0] != "urgent":
                    await taker.settle(batch)

    async def test_a_pause_stops_it(self, url: str) -> None:
        async with opened(url) as broker, consumer(broker) as taker:
            await self.flowing(broker, taker)
            await broker.pause("default", True)
            fetching = asyncio.create_task(taker.fetch(100))
            await asyncio.sleep(0.5)
            assert not fetching.done()
            assert (await broker.depth(["default"]))[0].ready == 400
            await broker.pause("default", False)
            async with asyncio.timeout(20):
                assert names(await fetching).split()[:2] == ["200", "201"]

    async def test_what_is_settled_takes_nothing_along_that_lies_ahead_of_it(self, url: str) -> None:
        """A message of a lane comes later than what is ahead in the queue, and is settled before that."""
        async with opened(url) as one, opened(url) as two, consumer(two) as other:
            taker = one.consume(["default"], "lease")
            await one.publish([task("before", priority=9)])
            await taker.settle(await fetch(taker))
            await self.flowing(one, taker)
            await one.publish([task("urgent", priority=9)])
            async with asyncio.timeout(20):
                while names(batch := await fetch(taker, 100)).split()[0] != "urgent":
                    await taker.settle(batch)
            await taker.settle(batch[:1])
            left = [int(name) for name in names(batch[1:]).split()]
            await one.close()
            found = await gather(other, 600 - left[0])
            assert [int(name) for name in names(found).split()] == list(range(left[0], 600))


class TestDeclaring:
    async def test_a_declared_queue_is_bound_to_what_celery_s_delayed_messages_leave_by(
        self, url: str, rabbitmq_server: RabbitMQ
    ) -> None:
        async with opened(url) as broker:
            await broker.declare([Declaration("default"), Declaration("high")])
        columns = ("source_name", "destination_name", "routing_key")
        told = rabbitmq_server.control("list_bindings", "-p", url.rpartition("/")[2], *columns)
        bound = {tuple(line.split("\t")) for line in told.splitlines() if line.startswith("celery_delayed")}
        assert bound == {("celery_delayed_delivery", queue, "*." * 28 + queue) for queue in ("default", "high")}


class TestAQueueThatEndsWithItsLastConsumer:
    async def test_it_takes_messages_and_gives_none_to_us(self, url: str) -> None:
        async with opened(url) as broker, consumer(broker) as taker:
            asked = methods.queue_declare("default", durable=False, auto_delete=True, arguments={"x-expires": 60_000})
            await broker.topology._ask(methods.QUEUE_DECLARE, asked)
            await broker.publish(tasks("1 2"))
            with pytest.raises(StorageError, match="'default' ends with its last consumer"):
                await broker.declare([Declaration("default")])
            with pytest.raises(StorageError, match="'default' ends with its last consumer"):
                await taker.fetch(1)
            assert await broker.topology.count("default") == 2


class TestAnOutageOfTheConnection:
    async def test_what_was_settled_or_goes_on_meanwhile_does_not_come_again(self, url: str) -> None:
        with Proxy(url) as proxy:
            async with opened(proxy.url) as broker, consumer(broker) as taker:
                await broker.publish(tasks("1 2 3"))
                done, running, back = await fetch(taker)
                proxy.cut()
                await until_broken(broker)
                await taker.settle([done])
                await taker.hand_back([back])
                again = await insistent(taker)
                assert names(again) == "3"
                await taker.settle([*again, running])
                await broker.publish(tasks("end"))
                assert names(await insistent(taker)) == "end"
                assert (await broker.depth(["default"]))[0].ready == 0


async def until_broken(broker: RabbitBroker) -> None:
    connection = broker.driver.working.connection
    assert connection is not None
    async with asyncio.timeout(20):
        while connection.broken is None:  # noqa: ASYNC110 - the connection's own `closed` is taken
            await asyncio.sleep(0.01)


async def insistent(taker: Any) -> list[Delivery]:
    """A batch, whatever fails before."""
    while True:
        try:
            return await fetch(taker)
        except Unavailable:
            await asyncio.sleep(0.05)


class TestWhatIsWrong:
    async def test_a_missing_virtual_host_is_named_with_its_remedy(self, rabbitmq_server: RabbitMQ) -> None:
        broker = open_broker(f"{rabbitmq_server.url.rsplit('/', 2)[0]}/nowhere")
        with pytest.raises(ConfigurationError, match=r"no virtual host 'nowhere'.*rabbitmqctl add_vhost nowhere"):
            await broker.open()

    async def test_a_wrong_login_is_told_without_the_password(self, rabbitmq_server: RabbitMQ) -> None:
        broker = open_broker(f"amqp://guest:hunter2@127.0.0.1:{rabbitmq_server.port}//")
        with pytest.raises(ConfigurationError, match="the login of 'guest' is refused") as caught:
            await broker.open()
        assert "hunter2" not in str(caught.value)

    async def test_a_server_that_is_not_there_is_unavailable_and_nothing_was_sent(self) -> None:
        broker = open_broker("amqp://127.0.0.1:1//")
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            await broker.open()
        assert caught.value.unsent

    async def test_an_old_server_is_refused(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lines, "_OLDEST", (99, 0))
        with pytest.raises(StorageError, match=r"is too old; 3\.10 or later is needed"):
            await open_broker(url).open()

    async def test_what_is_too_large_for_the_server_is_refused_before_it_is_sent(self, url: str) -> None:
        async with opened(url) as broker, consumer(broker) as taker:
            broker.driver._largest = 1000
            with pytest.raises(MessageTooLarge):
                await broker.publish([*tasks("1"), Message(b"x" * 1001)])
            await broker.publish(tasks("2"))
            assert names(await fetch(taker)) == "2"

    async def test_doctor_s_findings(self, url: str) -> None:
        async with opened(url) as broker:
            found = {finding.check: finding for finding in await broker.driver.examine()}
        assert found["versions"].detail.startswith("RabbitMQ 3")
        assert found["login"].verdict == "weak"
        assert found["durability"].verdict == "ok"


class TestAnswers:
    async def test_who_set_reply_to_gets_celery_s_object(self, url: str) -> None:
        sent = task("t")
        sent.properties |= {"reply_to": "asker", "correlation_id": "t"}
        ends = Ending(delivery=Delivery(sent, None), state="SUCCESS", finished_at=1.0, worker="w", pid=1, result=b"5")
        answer = reply(ends)
        assert answer is not None
        async with opened(url) as broker:
            await declare(broker, "asker")
            step = broker.reply([answer, Message(b"{}", {}, {}, "gone")])
            assert step is not None
            await step
            [arrived] = await (await plain(broker)).get([("asker", 5)])
        assert (arrived.properties["correlation_id"], arrived.properties["content_type"]) == ("t", "application/json")
        assert arrived.headers == {}
        assert json.loads(arrived.body) | {"date_done": None} == {
            "status": "SUCCESS", "result": 5, "traceback": None, "children": [], "date_done": None, "task_id": "t",
        }  # fmt: skip

    async def test_ours_never_expire_in_the_server_and_are_persistent(self, url: str) -> None:
        sent = task("t")
        sent.properties["expiration"] = "10"
        async with opened(url) as broker, consumer(broker) as taker:
            await broker.publish([sent])
            await asyncio.sleep(0.1)
            [found] = await (await plain(broker)).get([("default", 1)])
            assert ("expiration" in found.properties, found.properties["delivery_mode"]) == (False, 2)
            await broker.publish([sent])
            [delivery] = await fetch(taker)
            assert delivery.message == sent


def test_the_driver_s_own_frames_are_persistent() -> None:
    assert frames.unpack_properties(b"\x00\x3c\x00\x00" + bytes(8) + b"\x10\x00\x02")[1] == {"delivery_mode": 2}
