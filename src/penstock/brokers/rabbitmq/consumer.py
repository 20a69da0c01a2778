"""Takes messages under one lease: asks for batches while there are any, and has itself woken by the next one otherwise.

A batch is a consumer that lives for a moment and is limited to as much as there is room for: the server sends what is
there between its two answers, which costs it half as much as questions for single messages (basic.get). So levels keep
their order, and nothing is left behind at a worker that is busy. Queues of type quorum send a little later than they
answer; they are consumed until nothing more comes.

Where one full batch follows the other, so that tasks are quick, the consumers stand: the server sends ahead of what is
acknowledged, and nothing is asked any more (a flow). It ends where nothing comes, where less is wanted, and where
something lies unwanted: then it goes back, for others to take.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from penstock.brokers.rabbitmq.envelope import decode, identity
from penstock.brokers.rabbitmq.hands import Hands, Held
from penstock.brokers.rabbitmq.hub import Hub
from penstock.brokers.rabbitmq.shelf import Shelf, Source
from penstock.brokers.rabbitmq.topology import STEPS, Topology, lane, rotated
from penstock.core.consumer import BATCH, BATCH_BYTES, Interruptible
from penstock.core.errors import PenstockError
from penstock.core.message import Delivery, Message
from penstock.core.step import Step
from penstock.drivers.amqp import methods
from penstock.drivers.amqp.channel import Arrived, Broken, Channel
from penstock.drivers.rabbitmq import Rabbit
from penstock.drivers.rabbitmq.errors import NOT_FOUND, translated

_UNKNOWN: Final = 1024 * 1024  # bytes that a message is taken to have before one has come
_PAUSE: Final = 0.002  # seconds without another message after which a quorum queue has given what it has
_AHEAD: Final = 4 * BATCH  # messages of a flow that are not acknowledged: those at work, and a batch and more to come
_SOON: Final = 0.05  # seconds between two full batches at most, for a flow
_HOLD: Final = 0.25  # seconds after which what lies here unwanted goes back, and a flow that brings nothing is over


class Home(Protocol):
    """What a consumer needs of its broker."""

    driver: Rabbit
    topology: Topology
    hub: Hub
    consumers: set[RabbitConsumer]

    async def copy(self, messages: Sequence[tuple[Message, bool]], delay: float) -> None:
        """Publish messages again, each with its mark of an earlier delivery or without."""


class RabbitConsumer(Interruptible):
    """One channel at a time; anew after an outage."""

    lasting = False

    def __init__(self, broker: Home, queues: Sequence[str], lease: str) -> None:
        self.lease = lease
        self._broker = broker
        self._queues = list(dict.fromkeys(queues))
        self._sources: dict[str, Source] = {}
        self._hands = Hands()
        self._channel: Channel | None = None
        self._shelf = Shelf()
        self._tags: dict[str, Source] = {}  # what it is a consumer of now
        self._asked: list[asyncio.Future[bytes]] = []  # the answers to that are still to come
        self._flowing = self._changed = self._wanted = False
        self._full = -_SOON  # when the last full batch was here
        self._looking: asyncio.TimerHandle | None = None
        self._retiring: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._turn = 0
        self._numbers = itertools.count(1)
        self._typical = _UNKNOWN  # bytes of a message, about
        self._largest = 0  # of those that came since that was reckoned
        broker.consumers.add(self)
        broker.hub.ears.add(self)

    @property
    def held(self) -> bool:
        """It has claimed something and not settled it."""
        return bool(self._hands.held)

    async def fetch(self, limit: int) -> list[Delivery]:
        """Claim a batch; wait until there is one."""
        try:
            return await self._fetch(limit)
        except Broken as error:
            if error.code == NOT_FOUND:
                self._broker.topology.forget()
            raise translated(error, self._broker.driver.address) from error

    def settle(self, deliveries: Sequence[Delivery]) -> Step[None]:
        """Forget messages that are done."""

        async def settle() -> None:
            self._hands.done(delivery.tag for delivery in deliveries)
            self._unused()

        return self._step(settle)

    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[None]:
        """Give messages back unrun: to their old place, or, where that cannot be or is to be later, as a new copy."""

        async def hand_back() -> None:
            anew: list[Held] = []
            old: list[Held] = []
            for held in (delivery.tag for delivery in deliveries):
                again = self._hands.holds(held) and (delay > 0 or held.quorum)
                (anew if again else old).append(held)
            if anew:
                await self._broker.copy([(held.message, held.redelivered) for held in anew], delay)
                self._hands.done(anew)
            await self._return(old)
            self._unused()

        return self._step(hand_back)

    # --------------------------------------------------------------------------------------------------------- hearing

    def poke(self) -> None:
        """Something may be otherwise now."""
        self._changed = True
        self._woken.set()

    def lane(self, queue: str, step: int) -> None:
        """A lane has come to be."""
        if queue in self._queues:
            self._add(Source(lane(queue, step), queue, step, quorum=False))
            self.poke()

    def give_up(self) -> list[str]:
        """The lease has ended: let go of everything."""
        ids = [held.message.task_id for held in self._hands.drop()]
        if self._channel is not None:
            self._channel.discard()
        self._unused()
        return ids

    # --------------------------------------------------------------------------------------------------------- claiming

    async def _wait(self, limit: int) -> list[Delivery]:
        """A batch: of what has come, of what is there, of what comes."""
        self._wanted = True
        await self._retired()
        while not self._nudged:
            channel = await self._ready()
            self._woken.clear()
            await self._fill(channel, limit)
            if len(self._shelf) >= BATCH <= limit and self._shelf.size <= BATCH_BYTES:
                await self._flow(channel)  # before anything is taken, which would be lost with the connection
            if found := self._shelf.take(limit, self._turn):
                return found
        return []

    async def _fill(self, channel: Channel, limit: int) -> None:
        """Have something on the shelf, unless something else is to be seen to."""
        if self._flowing and (limit < BATCH or self._changed):
            await self._retire()
        if self._flowing and not self._shelf:
            await self._linger()
        elif not self._shelf:
            await self._claim(channel, limit)
            if not self._shelf and not self._nudged:
                await self._sleep(channel, limit)

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

    async def _claim(self, channel: Channel, limit: int) -> None:
        """Ask for messages, the highest level first, queues of one level in turn."""
        await self._unsubscribe()
        shelf = self._shelf
        self._turn += 1
        for step in (*STEPS, 0):
            sources = rotated([source for source in self._open(step) if not source.quorum], self._turn)
            while sources and len(shelf) < limit and shelf.size < BATCH_BYTES:
                asked = self._shares(sources, limit - len(shelf))
                wanted = [(source, count + shelf.waiting(source)) for source, count in asked]
                self._subscribe(channel, asked)
                await self._unsubscribe()
                self._learn()
                done = {source for source, count in wanted if shelf.waiting(source) < count}
                sources = [source for source in sources if source not in done]
                # who got one more than others is not the first again
                sources = rotated(sources, sum(count for _, count in asked))

    def _shares(self, sources: Sequence[Source], room: int) -> list[tuple[Source, int]]:
        """How many to ask each for: equal shares, and no more at a time than a batch's bytes will probably hold."""
        room = min(room, max(1, BATCH_BYTES // self._typical))
        shares = [(source, room // len(sources) + (at < room % len(sources))) for at, source in enumerate(sources)]
        return [(source, share) for source, share in shares if share]

    def _learn(self) -> None:
        if self._largest:
            self._typical, self._largest = max(self._largest, self._typical // 8), 0

    async def _sleep(self, channel: Channel, limit: int) -> None:
        """Be a consumer of all queues until a message comes, or something else does."""
        sources = [source for step in (*STEPS, 0) for source in self._open(step)]
        quorum = [source for source in sources if source.quorum]
        self._subscribe(channel, [(source, 1) for source in sources if not source.quorum])
        if quorum:
            most = max(1, min(limit, BATCH_BYTES // self._typical) // len(quorum))
            self._subscribe(channel, [(source, most) for source in quorum])
        await self._answered()
        await self._woken.wait()
        self._learn()
        if quorum:
            await self._more(limit)
            await self._unsubscribe()  # nothing that comes later could go back to its place

    async def _more(self, limit: int) -> None:
        """Let a quorum queue go on for as long as it gives."""
        count = 0
        while count < len(self._shelf) < limit:
            count = len(self._shelf)
            await asyncio.sleep(_PAUSE)

    # ---------------------------------------------------------------------------------------------------------- flowing

    async def _flow(self, channel: Channel) -> None:
        """A full batch is here: let the server send ahead where another one was just before.

        Only where the lowest level gave, as the others would have to wait for the end of the flow, and where few queues
        share what may be ahead.
        """
        now = asyncio.get_running_loop().time()
        soon, self._full = now - self._full < _SOON, now
        if self._flowing or not soon or not any(map(self._shelf.waiting, self._open(0))):
            return
        await self._unsubscribe()
        levels = [level for level in map(self._open, (*STEPS, 0)) if level]
        if max(map(len, levels), default=0) * BATCH <= _AHEAD:
            self._subscribe(channel, [(source, _AHEAD // len(level)) for level in levels for source in level])
            self._flowing = True

    async def _linger(self) -> None:
        """Wait for more of a flow; where nothing comes it is over."""
        try:
            async with asyncio.timeout(_HOLD):
                await self._woken.wait()
        except TimeoutError:
            await self._retire()

    async def _retire(self) -> None:
        """Be no consumer any more; what nobody was given goes back. Whatever fails has taken the connection with it."""
        with suppress(Broken, PenstockError):
            await self._unsubscribe()
        if left := self._shelf.clear():
            try:
                await self.hand_back(left)
            except PenstockError:  # no copies can be made: the server's own way
                self._hands.back(delivery.tag for delivery in left)

    async def _retired(self) -> None:
        if self._retiring is not None:
            await self._retiring
            self._retiring = None

    def _watch(self) -> None:
        """Nobody waits now: see to what comes meanwhile, and is not taken."""
        if self._looking is None and (self._tags or self._shelf):
            self._looking = asyncio.get_running_loop().call_later(_HOLD, self._look)

    def _look(self) -> None:
        self._looking = None
        if self._fetching:
            return
        if self._shelf.stale() or not self._wanted:
            self._retiring = asyncio.get_running_loop().create_task(self._retire())
        else:
            self._wanted = False
            self._watch()

    # ------------------------------------------------------------------------------------------------------- consuming

    def _subscribe(self, channel: Channel, wanted: Iterable[tuple[Source, int]]) -> None:
        """Consume these, so many unacknowledged messages of each. No tag is used twice (quorum queues mind)."""
        most = 0
        for source, count in wanted:
            if count != most:
                self._asked.append(channel.call(methods.QOS, methods.qos(count)))
                most = count
            tag = f"{next(self._numbers)}"
            self._tags[tag] = source
            self._asked.append(channel.call(methods.CONSUME, methods.consume(source.name, tag)))

    async def _unsubscribe(self) -> None:
        """Consume no more: what comes has come before the answers."""
        await self._answered()  # not in the same write: a channel of RabbitMQ 3.10 dies of that
        if self._tags and self._channel is not None:
            channel = self._channel
            self._asked += [channel.call(methods.CANCEL, methods.cancel(tag)) for tag in self._tags]
            await self._answered()
        self._tags.clear()
        self._flowing = self._changed = False

    async def _answered(self) -> None:
        """Wait for answers, which come in the order of their questions."""
        asked, self._asked = self._asked, []
        for answer in asked:
            await self._broker.driver.working.within(answer)

    def _came(self, arrived: Arrived) -> None:
        source = self._tags[arrived.consumer]
        if (delivery := self._delivery(arrived, source)) is not None:
            self._shelf.put(source, delivery)
            self._largest = max(self._largest, len(arrived.body))
            self._woken.set()

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
        unseen: list[Held] = [delivery.tag for delivery in self._shelf.clear()]
        self._hands.back(unseen)
        self._broker.hub.remember(held.identity for held in unseen if not held.redelivered)
        self._tags.clear()
        self._asked.clear()
        self._flowing = False
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

    def _wake(self) -> None:
        self._woken.set()

    async def _rest(self) -> None:
        """Once stopped: what nobody asked for goes back; the channel stays for what can still be settled."""
        if not self._stopped:
            self._watch()
            return
        await self._retired()
        await self._retire()
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
