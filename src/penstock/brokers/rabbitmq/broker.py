"""Messages in RabbitMQ: publishing, counting, managing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from penstock.brokers.rabbitmq import delays, registry
from penstock.brokers.rabbitmq.consumer import RabbitConsumer
from penstock.brokers.rabbitmq.envelope import decode, encode, encode_answer
from penstock.brokers.rabbitmq.hub import Hub
from penstock.brokers.rabbitmq.topology import STEPS, Topology, lane, marker, parcel
from penstock.core.broker import Broker, Consumer, Declaration, QueueDepth, Withdrawal
from penstock.core.errors import MessageTooLarge, NotFound, PenstockError, StorageError
from penstock.core.message import Message, priority_step
from penstock.core.opening import Opener
from penstock.core.step import Step
from penstock.drivers.amqp import methods
from penstock.drivers.amqp.channel import Broken
from penstock.drivers.rabbitmq import Rabbit, open_driver
from penstock.drivers.rabbitmq.driver import Deed, Parcel
from penstock.drivers.rabbitmq.errors import NOT_FOUND, translated

_PORTION = 50  # messages that a purge takes at one time


@dataclass(frozen=True, slots=True)
class _Packed:
    """A message, ready for the wire."""

    queue: str
    step: int
    properties: bytes
    body: bytes
    due: float | None


class RabbitBroker(Broker):
    """Messages in one virtual host."""

    def __init__(self, driver: Rabbit) -> None:
        self.driver: Rabbit = driver
        self.topology = Topology(driver)
        self.hub = Hub(self.topology)
        self.consumers: set[RabbitConsumer] = set()

    def publish(self, messages: Sequence[Message]) -> Step[None]:
        """Put messages into their queues."""

        def plan(_: Rabbit) -> Deed:
            packed = [self._packed(message) for message in messages]
            return lambda: self.send(packed)

        return self.driver.step(plan)

    def post(self, exchange: str, messages: Sequence[Message]) -> Step[None]:
        """Publish to an exchange."""

        def plan(_: Rabbit) -> Deed:
            packed = [self._packed(message) for message in messages]
            parcels = [parcel(each.queue, each.body, each.properties, exchange) for each in packed]

            async def post() -> None:
                try:
                    lost = await self.driver.publish(parcels)
                except Broken as error:
                    if error.code == NOT_FOUND:
                        raise NotFound(f"{self.driver.address.shown}: {error.text}") from error
                    raise translated(error, self.driver.address) from error
                if lost:
                    keys = ", ".join(repr(key) for key in sorted(lost))
                    raise NotFound(f"no queue is bound to the exchange {exchange!r} with the routing key {keys}")

            return post

        return self.driver.step(plan)

    def declare(self, declarations: Sequence[Declaration]) -> Step[None]:
        """Have queues, exclusive ones and bindings among them; delayed messages of others find them, too."""

        async def declare() -> None:
            for each in declarations:
                await self.topology.declare(each)

        return self._step(declare)

    def consume(self, queues: Sequence[str], lease: str) -> Consumer:
        """Make a consumer of `queues`; every claim names `lease`."""
        return RabbitConsumer(self, queues, lease)

    def release(self, leases: Sequence[str]) -> Step[list[str]]:
        """Let go of what consumers of these leases hold; the server has taken back what dead processes held."""

        async def release() -> list[str]:
            if not leases:
                return []
            mine = [consumer for consumer in tuple(self.consumers) if consumer.lease in leases]
            ids = [task_id for consumer in mine for task_id in consumer.give_up()]
            await self.hub.hint(released=list(leases))
            return ids

        return self._step(release)

    def holders(self) -> Step[list[str]]:
        """The leases of the consumers here that hold something: claims end with their connection."""

        async def holders() -> list[str]:
            return sorted({consumer.lease for consumer in self.consumers if consumer.held})

        return self._step(holders)

    def withdraw(self, task_id: str) -> Step[Withdrawal]:
        """Nothing: a message cannot be found by its task."""
        del task_id

        async def withdraw() -> Withdrawal:
            return Withdrawal(0, sure=False)

        return self._step(withdraw)

    def depth(self, queues: Sequence[str] | None = None) -> Step[list[QueueDepth]]:
        """Count the messages of queues."""

        async def depth() -> list[QueueDepth]:
            names = sorted(await registry.names(self.topology) if queues is None else set(queues))
            counts = await self.topology.counts(part for name in names for part in _parts(name))
            found = []
            for name in names:
                main, *lanes, mark = (counts[part] for part in _parts(name))
                if main is None and mark is None:
                    continue
                raised = {lane(name, step): count for step, count in zip(STEPS, lanes, strict=True) if count}
                ready = (main or 0) + sum(raised.values())
                found.append(QueueDepth(name, ready, None, None, paused=bool(mark), lanes=raised))
            return found

        return self._step(depth)

    def pause(self, queue: str, paused: bool) -> Step[None]:
        """Stop or resume deliveries of a queue."""

        async def pause() -> None:
            name = marker(queue)
            if queue not in await registry.names(self.topology):
                await self.topology.register(queue)
            await self.topology.own(name)
            if paused and not await self.topology.count(name):
                await self.driver.publish([parcel(name, queue.encode())])
            elif not paused:
                channel = await self.driver.working.channel()
                await self.driver.working.answer(channel.call(methods.QUEUE_PURGE, methods.queue_purge(name)))
                channel.discard()
            await self.hub.tell(pause=queue, paused=paused)
            self.hub.pause(queue, paused)

        return self._step(pause)

    def purge(self, queue: str, limit: int = 1000) -> Step[list[str]]:
        """Remove at most `limit` messages that are ready."""

        async def purge() -> list[str]:
            counts = await self.topology.counts(_parts(queue)[:-1])
            removed: list[str] = []
            for name in (name for name, count in counts.items() if count):
                removed += await self._emptied(name, limit - len(removed))
            return removed

        return self._step(purge)

    def reply(self, answers: Sequence[Message]) -> Step[None]:
        """Answer askers, over the default exchange; their queues are theirs to make."""

        def plan(_: Rabbit) -> Deed:
            parcels = [parcel(each.queue, each.body, encode_answer(each), mandatory=False) for each in answers]
            return lambda: self.driver.publish(parcels)

        return self.driver.step(plan)

    def ping(self) -> Step[None]:
        """Answer if a message is taken and confirmed now."""
        return self._step(self.hub.tell)

    async def send(self, packed: Sequence[_Packed]) -> None:
        """Publish; have made what is missing. Raises StorageError for a queue that the server does not keep."""
        if not packed:
            return
        for again in (False, True):
            try:
                parcels = [await self._addressed(each) for each in packed]
                lost = await self.driver.publish(parcels)
            except Broken as error:
                if again:
                    raise translated(error, self.driver.address) from error
                self.topology.forget()  # an exchange of ours is gone
                continue
            if not lost:
                return
            self.topology.forget()
            packed = [each for each, sent in zip(packed, parcels, strict=True) if sent[1] in lost]
        raise StorageError(f"{self.driver.address.shown}: {packed[0].queue!r} does not stay: messages lead nowhere")

    async def copy(self, messages: Sequence[tuple[Message, bool]], delay: float) -> None:
        """Publish messages again, each with its mark of an earlier delivery or without."""
        due = self.driver.clock() + delay if delay > 0 else None
        await self.send([replace(self._packed(message, marked), due=due) for message, marked in messages])

    async def _addressed(self, packed: _Packed) -> Parcel:
        target = packed.queue
        kind = self.topology.kinds.get(target) or await self.topology.queue(target)
        if packed.step and not kind.priorities and not self.driver.address.celery_priorities:
            target = lane(packed.queue, packed.step)
            if target not in self.topology.lanes:
                await self._have_lane(packed.queue, packed.step)
        delay = 0.0 if packed.due is None else packed.due - self.driver.clock()
        if delay <= 0:
            return methods.publish("", target), target, packed.properties, packed.body
        whole = delays.seconds(delay)
        level = delays.level(whole)
        await self.topology.delayed(target, level)
        key = delays.key(whole, target)
        return methods.publish(delays.name(level), key), key, packed.properties, packed.body

    async def _have_lane(self, queue: str, step: int) -> None:
        """Have a lane. Consumers that are there already are told, by each process that comes to use it."""
        await self.topology.own(lane(queue, step))
        for consumer in tuple(self.consumers):
            consumer.lane(queue, step)
        try:
            await self.hub.tell(lane=queue, step=step)
        except PenstockError:
            self.topology.lanes.discard(lane(queue, step))  # the next try tells
            raise

    def _packed(self, message: Message, redelivered: bool = False) -> _Packed:
        properties = encode(message, redelivered)
        size = len(message.body)
        if size > self.driver.largest:
            raise MessageTooLarge(size, self.driver.largest)
        return _Packed(message.queue, priority_step(message.priority), properties, message.body, message.due)

    async def _emptied(self, name: str, limit: int) -> list[str]:
        """Take messages from the front of a queue for good; return their task ids."""
        line = self.driver.working
        channel = await line.channel()
        ids: list[str] = []
        while len(ids) < limit:
            asked = min(_PORTION, limit - len(ids))
            found = await line.answer(channel.get([(name, asked)]))
            if found:
                ids += [decode(each, name)[0].task_id for each in found]
                channel.send(methods.ACK, methods.ack(found[-1].tag, multiple=True))
            if len(found) < asked:
                break
        await channel.close()  # after its answer they are gone
        return ids

    def _step(self, work: Callable[[], Awaitable[Any]]) -> Step[Any]:
        return self.driver.step(lambda _: work)


def _parts(queue: str) -> list[str]:
    """A queue, its lanes, and the marker of its pause."""
    return [queue, *(lane(queue, step) for step in STEPS), marker(queue)]


#: the broker in the virtual host that `url` names
open_broker: Final = Opener(Rabbit, open_driver, lambda driver, _: RabbitBroker(driver))
