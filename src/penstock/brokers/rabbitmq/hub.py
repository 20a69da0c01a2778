"""What consumers are told by others, over a fanout exchange: pauses, lanes, what was handed back, whose lease ended.

All of it is known otherwise, too, or is only a hint: who was not there missed nothing that it needs.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from penstock.brokers.rabbitmq.topology import CONTROL, Topology, marker, parcel
from penstock.core.encoding import dumps, loads
from penstock.core.errors import DecodingError, PenstockError
from penstock.core.ids import new_id
from penstock.drivers.amqp import frames, methods
from penstock.drivers.amqp.channel import Arrived, Channel

log = logging.getLogger("penstock.brokers.rabbitmq")

_TRANSIENT = frames.pack_properties({"delivery_mode": 1, "content_type": "application/json"}, {})
_MOST = 20_000  # messages that were handed back and are remembered


class Ear(Protocol):
    """Who is told."""

    lease: str

    def poke(self) -> None:
        """Something may be otherwise now: look again."""

    def lane(self, queue: str, step: int) -> None:
        """A lane has come to be."""

    def give_up(self) -> list[str]:
        """Its lease has ended: let go of everything; return the task ids."""


class Hub:
    """One process's ear at the exchange, for all its consumers."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.paused: set[str] = set()  #: as far as consumers here take from them
        self.ears: set[Ear] = set()
        self.returned: Counter[str] = Counter()  #: identities of messages that were handed back, not lost
        self._name = new_id()  # in what this one tells, so that it need not hear it
        self._channel: Channel | None = None
        self._listening = asyncio.Lock()

    async def listen(self) -> None:
        """Hear from now on."""
        async with self._listening:
            if self._channel is not None and self._channel.broken is None:
                return
            await self.topology.control()
            line = self.topology.driver.working
            channel = await line.channel()
            channel.deliver = self._heard
            mine = methods.queue_declare("", durable=False, exclusive=True, auto_delete=True)
            name, _ = frames.text(await line.answer(channel.call(methods.QUEUE_DECLARE, mine)), 0)
            await line.answer(channel.call(methods.QUEUE_BIND, methods.bind(name, CONTROL, "")))
            await line.answer(channel.call(methods.CONSUME, methods.consume(name, "ear", no_ack=True)))
            self._channel = channel

    async def look(self, queues: Iterable[str]) -> None:
        """Which of these are paused, by their markers."""
        names = {marker(queue): queue for queue in queues}
        for name, count in (await self.topology.counts(names)).items():
            (self.paused.add if count else self.paused.discard)(names[name])

    async def tell(self, **news: Any) -> None:
        """Tell all consumers of all processes; returns when the server has passed it on."""
        await self.topology.control()
        body = dumps({"by": self._name, **news})
        await self.topology.driver.publish([parcel("", body, _TRANSIENT, CONTROL, mandatory=False)])

    async def hint(self, **news: Any) -> None:
        """The same, but nothing is lost if it cannot be done."""
        try:
            await self.tell(**news)
        except PenstockError as error:
            log.debug("not told: %s", error)

    def pause(self, queue: str, paused: bool) -> None:
        """A queue was paused or resumed."""
        (self.paused.add if paused else self.paused.discard)(queue)
        for ear in tuple(self.ears):
            ear.poke()

    def came_back(self, identity: str) -> bool:
        """Whether a message that is marked as redelivered was only handed back; asked once for each."""
        if not self.returned[identity]:
            del self.returned[identity]
            return False
        self.returned[identity] -= 1
        return True

    def remember(self, identities: Iterable[str]) -> None:
        """These were handed back."""
        self.returned.update(identities)
        while len(self.returned) > _MOST:
            del self.returned[next(iter(self.returned))]

    def _heard(self, arrived: Arrived) -> None:
        try:
            news = loads(arrived.body)
            if news["by"] != self._name:
                self._news(news)
        except (DecodingError, AttributeError, KeyError, TypeError, ValueError) as error:
            log.warning("nonsense on the exchange %s: %s", CONTROL, error)

    def _news(self, news: dict[str, Any]) -> None:
        if "pause" in news:
            self.pause(news["pause"], bool(news["paused"]))
        if "lane" in news:
            for ear in tuple(self.ears):
                ear.lane(news["lane"], int(news["step"]))
        if "returned" in news:
            self.remember(str(each) for each in news["returned"])
        if "released" in news:
            for ear in tuple(self.ears):
                if ear.lease in news["released"]:
                    ear.give_up()
