"""Takes messages under one lease: asks for batches while there are any, and has itself woken by the next one otherwise.

A batch is a consumer that lives for a moment and is limited to as much as there is room for: the server sends what is
there between its two answers, which costs it half as much as questions for single messages (basic.get). So levels keep
their order, and nothing is left behind at a worker that is busy. Queues of type quorum send a little later than they
answer; they are consumed until nothing more comes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from penstock.brokers.rabbitmq.envelope import decode, identity
from penstock.brokers.rabbitmq.hands import Hands, Held
from penstock.brokers.rabbitmq.hub import Hub
from penstock.brokers.rabbitmq.topology import STEPS, Topology, lane, rotated
from penstock.core.broker import Consumer
from penstock.core.consumer import BATCH, BATCH_BYTES
from penstock.core.message import Delivery, Message
from penstock.core.step import Step
from penstock.drivers.amqp import methods
from penstock.drivers.amqp.channel import Arrived, Broken, Channel
from penstock.drivers.rabbitmq import Rabbit
from penstock.drivers.rabbitmq.errors import NOT_FOUND, translated

_UNKNOWN: Final = 1024 * 1024  # bytes that a message is taken to have before one has come
_PAUSE: Final = 0.002  # seconds without another message after which a quorum queue has given what it has


@dataclass(frozen=True, slots=True)
class Source:
    """A queue of the server that messages are taken from."""

    name: str
    queue: str  #: whose messages they are
    step: int
    quorum: bool


class Home(Protocol):
    """What a consumer needs of its broker."""

    driver: Rabbit
    topology: Topology
    hub: Hub
    consumers: set[RabbitConsumer]

    async def copy(self, messages: Sequence[tuple[Message, bool]], delay: float) -> None:
        """Publish messages again, each with its mark of an earlier delivery or without."""


class RabbitConsumer(Consumer):
    """One channel at a time; anew after an outage."""

    lasting = False

    def __init__(self, broker: Home, queues: Sequence[str], lease: str) -> None:
        self.lease = lease
        self._broker = broker
        self._queues = list(dict.fromkeys(queues))
        self._sources: dict[str, Source] = {}
        self._hands = Hands()
        self._channel: Channel | None = None
        self._stash: list[Delivery] = []  # taken beyond the last batch's limits
        self._pushed: list[Arrived] = []
        self._woken = asyncio.Event()
        self._turn = 0
        self._numbers = itertools.count(1)
        self._typical = _UNKNOWN  # bytes of a message, about
        self._fetching = self._nudged = self._stopped = False
        broker.consumers.add(self)
        broker.hub.ears.add(self)

    @property
    def held(self) -> bool:
        """It has claimed something and not settled it."""
        return bool(self._hands.held)

    async def fetch(self, limit: int) -> list[Delivery]:
        """Claim a batch; wait until there is one."""
        if self._stopped:
            return []
        self._nudged, self._fetching = False, True
        try:
            return await self._fetch(min(limit, BATCH))
        except Broken as error:
            if error.code == NOT_FOUND:
                self._broker.topology.forget()
            raise translated(error, self._broker.driver.address) from error
        finally:
            self._fetching = False
            await self._rest()

    def settle(self, deliveries: Sequence[Delivery]) -> Step[None]:
        """Forget messages that are done."""

        async def settle() -> None:
            self._hands.done(delivery.tag for delivery in deliveries)
            self._unused()

        return self._step(settle)

    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[None]:
        """Give messages back unrun: to their old place, or, where that cannot be or is to be later, as a new copy."""

        async def hand_back() -> None:
            mine = [delivery.tag for delivery in deliveries if self._hands.holds(delivery.tag)]
            lost = [delivery.tag for delivery in deliveries if delivery.tag not in mine]
            anew = [held for held in mine if delay > 0 or held.quorum]
            if anew:
                await self._broker.copy([(held.message, held.redelivered) for held in anew], delay)
                self._hands.done(anew)
            await self._return([*(held for held in mine if held not in anew), *lost])
            self._unused()

        return self._step(hand_back)

    def nudge(self) -> None:
        """Make a waiting fetch return [] soon."""
        self._nudged = True
        self._woken.set()

    async def stop(self) -> None:
        """No more messages."""
        self._stopped = True
        if self._fetching:
            self.nudge()
        else:
            await self._rest()

    # --------------------------------------------------------------------------------------------------------- hearing

    def poke(self) -> None:
        """Something may be otherwise now."""
        self._woken.set()

    def lane(self, queue: str, step: int) -> None:
        """A lane has come to be."""
        if queue in self._queues:
            self._add(Source(lane(queue, step), queue, step, quorum=False))
            self._woken.set()

    def give_up(self) -> list[str]:
        """The lease has ended: let go of everything."""
        ids = [held.message.task_id for held in self._hands.drop()]
        self._stash.clear()
        if self._channel is not None:
            self._channel.discard()
        self._unused()
        return ids

    # --------------------------------------------------------------------------------------------------------- claiming

    async def _fetch(self, limit: int) -> list[Delivery]:
        while not self._nudged:
            channel = await self._ready()
            self._woken.clear()
            found = self._batch(self._stash, limit) if self._stash else await self._claim(channel, limit)
            if not found and not self._nudged:
                found = await self._sleep(channel, limit)
            if found:
                return found
        return []

    async def _ready(self) -> Channel:
        """A channel, with everything there that messages are taken from."""
        channel = self._channel
        if channel is not None and channel.broken is None:
            return channel
        broker, line = self._broker, self._broker.driver.working
        await line.connected()
        await broker.hub.listen()
        await broker.hub.look(self._queues)
        self._sources = {}
        for queue in self._queues:
            kind = await broker.topology.source(queue)
            self._add(Source(queue, queue, 0, kind.quorum))
        lanes = {lane(queue, step): (queue, step) for queue in self._queues for step in STEPS}
        for name, count in (await broker.topology.counts(lanes)).items():
            if count is not None:
                self._add(Source(name, *lanes[name], quorum=False))
        channel = await line.channel()
        channel.deliver = self._came
        channel.cancelled = lambda _: channel.discard()  # a queue is gone: look at everything again
        channel.closed = lambda: self._lost(channel)
        await line.answer(channel.call(methods.QOS, methods.qos(1)))
        self._channel = channel
        return channel

    async def _claim(self, channel: Channel, limit: int) -> list[Delivery]:
        """Ask for messages, the highest level first, queues of one level in turn."""
        found: list[Delivery] = []
        self._turn += 1
        for step in (*STEPS, 0):
            open_ones = [source.name for source in self._open(step) if not source.quorum]
            open_ones = rotated(open_ones, self._turn)
            while open_ones and len(found) < limit and not self._stash:
                asked = self._shares(open_ones, limit - len(found))
                arrived = await self._asked(channel, asked)
                found += self._batch(self._taken(arrived), limit - len(found), sum(map(_size, found)))
                open_ones = [name for name in open_ones if name not in asked or len(arrived[name]) == asked[name]]
                open_ones = rotated(
                    open_ones, sum(asked.values())
                )  # who got one more than others is not the first again
        return found

    async def _asked(self, channel: Channel, asked: dict[str, int]) -> dict[str, list[Arrived]]:
        tags: dict[str, str] = {}
        calls: list[asyncio.Future[bytes]] = []
        for name, count in asked.items():
            more, others = self._subscription(channel, [name], count)
            tags, calls = tags | more, calls + others
        await self._all(calls)
        await self._cancel(channel, tags)  # not in the same write: a channel of RabbitMQ 3.10 dies of that
        return self._sorted(tags, asked)

    def _shares(self, names: Sequence[str], room: int) -> dict[str, int]:
        """How many to ask each for: equal shares, and no more at a time than a batch's bytes will probably hold."""
        room = min(room, max(1, BATCH_BYTES // self._typical))
        shares = {name: room // len(names) + (turn < room % len(names)) for turn, name in enumerate(names)}
        return {name: share for name, share in shares.items() if share}

    def _taken(self, arrived: dict[str, list[Arrived]]) -> list[Delivery]:
        """Deliveries of what came, queues alternating."""
        found = []
        longest = max((len(some) for some in arrived.values()), default=0)
        for turn in range(longest):
            for name, some in arrived.items():
                if turn < len(some) and (delivery := self._delivery(some[turn], self._sources[name])):
                    found.append(delivery)
        if found:
            self._typical = max(*map(_size, found), self._typical // 8, 1)
        return found

    def _delivery(self, arrived: Arrived, source: Source) -> Delivery | None:
        """None for a copy of what is here already."""
        assert self._channel is not None
        held = Held(self._channel, arrived.tag, source.name)
        message, marked = decode(arrived, source.queue)
        held.message, held.identity, held.quorum = message, identity(message), source.quorum
        if not self._hands.take(held, again=arrived.redelivered):
            return None
        held.redelivered = marked or (arrived.redelivered and not self._broker.hub.came_back(held.identity))
        return Delivery(message, held, held.redelivered)

    def _batch(self, taken: list[Delivery], limit: int, size: int = 0) -> list[Delivery]:
        """What is within the limits; the rest is for the next fetch."""
        count = 0
        for delivery in taken[:limit]:
            size += _size(delivery)
            if size > BATCH_BYTES and (count or size > _size(delivery)):
                break
            count += 1
        found, self._stash = taken[:count], taken[count:]
        return found

    # --------------------------------------------------------------------------------------------------------- sleeping

    async def _sleep(self, channel: Channel, limit: int) -> list[Delivery]:
        """Be a consumer of all queues until a message comes, or something else does; then be none any more."""
        sources = [source for step in (*STEPS, 0) for source in self._open(step)]
        tags, calls = self._subscription(channel, [source.name for source in sources if not source.quorum], 1)
        quorum = [source.name for source in sources if source.quorum]
        if quorum:
            most = max(1, min(limit, BATCH_BYTES // self._typical) // len(quorum))
            more, others = self._subscription(channel, quorum, most)
            tags, calls = tags | more, calls + others
        await self._all(calls)
        await self._woken.wait()
        if quorum and self._pushed:
            await self._more(limit)
        await self._cancel(channel, tags)
        return self._batch(self._taken(self._sorted(tags, [source.name for source in sources])), limit)

    def _subscription(
        self, channel: Channel, names: Sequence[str], prefetch: int
    ) -> tuple[dict[str, str], list[asyncio.Future[bytes]]]:
        """Consume these: tags, none used twice (quorum queues mind), with their queues, and the answers."""
        tags = {f"{next(self._numbers)}": name for name in names}
        calls = [channel.call(methods.QOS, methods.qos(prefetch))]
        calls += [channel.call(methods.CONSUME, methods.consume(name, tag)) for tag, name in tags.items()]
        return tags, calls

    async def _cancel(self, channel: Channel, tags: Iterable[str]) -> None:
        """Consume no more: what comes has come before the answers."""
        await self._all([channel.call(methods.CANCEL, methods.cancel(tag)) for tag in tags])

    async def _all(self, answers: Sequence[asyncio.Future[bytes]]) -> None:
        """Wait for answers, which come in the order of their questions."""
        for answer in answers:
            await self._broker.driver.working.within(answer)

    def _sorted(self, tags: Mapping[str, str], names: Iterable[str]) -> dict[str, list[Arrived]]:
        """What was sent since the last look, by queue."""
        arrived: dict[str, list[Arrived]] = {name: [] for name in names}
        for each in self._pushed:
            arrived[tags[each.consumer]].append(each)
        self._pushed.clear()
        return arrived

    async def _more(self, limit: int) -> None:
        """Let a quorum queue go on for as long as it gives."""
        count = 0
        while count < len(self._pushed) < limit:
            count = len(self._pushed)
            await asyncio.sleep(_PAUSE)

    def _came(self, arrived: Arrived) -> None:
        self._pushed.append(arrived)
        self._woken.set()

    # ----------------------------------------------------------------------------------------------------------- parts

    def _open(self, step: int) -> list[Source]:
        paused = self._broker.hub.paused
        return [source for source in self._sources.values() if source.step == step and source.queue not in paused]

    def _add(self, source: Source) -> None:
        self._sources[source.name] = source

    def _lost(self, channel: Channel) -> None:
        """The channel is gone, with or without its connection."""
        self._hands.lose(channel)
        self._broker.topology.doubt(self._queues)
        for delivery in self._stash:  # nobody has seen them: to have them come again is enough
            self._hands.back([delivery.tag])
        self._stash.clear()
        self._pushed.clear()
        self._woken.set()
        if self._channel is channel:
            self._channel = None

    async def _return(self, holdings: Sequence[Held]) -> None:
        """To their old places. The server will call them redelivered: whoever gets them is told otherwise."""
        unmarked = [held.identity for held in holdings if not held.redelivered]
        if unmarked:
            self._broker.hub.remember(unmarked)
            await self._broker.hub.hint(returned=unmarked)
        self._hands.back(holdings)

    async def _rest(self) -> None:
        """Once stopped: what nobody asked for goes back; the channel stays for what can still be settled."""
        if not self._stopped:
            return
        stash, self._stash = self._stash, []
        if stash:
            await self._return([delivery.tag for delivery in stash])
        self._unused()

    def _unused(self) -> None:
        if not self._stopped or self._fetching or self._hands.held:
            return
        if self._channel is not None:
            self._channel.discard()
        self._broker.consumers.discard(self)
        self._broker.hub.ears.discard(self)

    def _step(self, work: Callable[[], Awaitable[Any]]) -> Step[Any]:
        return self._broker.driver.step(lambda _: work)


def _size(delivery: Delivery) -> int:
    return len(delivery.message.body)
