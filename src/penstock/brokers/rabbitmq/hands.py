"""What a consumer holds: deliveries, their channels, and what becomes of both when a connection is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from penstock.core.message import Message
from penstock.drivers.amqp import methods
from penstock.drivers.amqp.channel import Channel

_MOST: Final = 10_000  # messages that were settled without a connection, and are remembered


class Held:
    """What a delivery's tag is: where the message stands. It changes when the message came again after an outage."""

    __slots__ = ("channel", "identity", "message", "number", "quorum", "redelivered", "source")

    def __init__(self, channel: Channel, number: int, source: str) -> None:
        self.channel = channel
        self.number = number  #: the channel's delivery tag
        self.source = source  #: the server's queue that it came from
        self.quorum = False  #: which is one of type quorum
        self.identity = ""
        self.redelivered = False
        self.message: Message


class Hands:
    """The deliveries of one consumer that are not settled."""

    def __init__(self) -> None:
        self.held: dict[Held, None] = {}  #: on channels that work
        self._lost: dict[str, list[Held]] = {}  # their connection is gone, their tasks go on
        self._done: dict[str, int] = {}  # settled after their connection was gone: their copies are to be dropped

    def take(self, held: Held, *, again: bool) -> bool:
        """A message came, `again` by the server's word. False for one that is here, or that was dealt with: no news."""
        if again:
            if self._done.get(held.identity):
                self._count_down(held.identity)
                held.channel.send(methods.ACK, methods.ack(held.number))
                return False
            if lost := self._lost.get(held.identity):
                first = lost.pop(0)
                if not lost:
                    del self._lost[held.identity]
                first.channel, first.number, first.source = held.channel, held.number, held.source
                self.held[first] = None
                return False
        self.held[held] = None
        return True

    def lose(self, channel: Channel) -> None:
        """A channel is gone, and the server gives back what was held on it."""
        for held in [each for each in self.held if each.channel is channel]:
            del self.held[held]
            self._lost.setdefault(held.identity, []).append(held)

    def done(self, holdings: Iterable[Held]) -> None:
        """These are settled: acknowledge them; where that cannot be, remember to when they come again."""
        self._answer(holdings, methods.ACK, methods.ack, remember=True)

    def back(self, holdings: Iterable[Held]) -> None:
        """These return to their queues; those without a connection have."""
        self._answer(holdings, methods.NACK, methods.nack, remember=False)

    def drop(self) -> list[Held]:
        """Forget everything; return what was held."""
        found = list(self.held)
        for each in self._lost.values():
            found += each
        self.held.clear()
        self._lost.clear()
        return found

    def holds(self, held: Held) -> bool:
        """It is not settled, and its connection is there."""
        return held in self.held

    def _answer(
        self, holdings: Iterable[Held], ids: methods.Ids, arguments: methods.Answering, *, remember: bool
    ) -> None:
        numbers: dict[Channel, list[int]] = {}
        for held in holdings:
            if held in self.held:
                numbers.setdefault(held.channel, []).append(held.number)
                del self.held[held]
            elif self._forget(held) and remember:
                self._done[held.identity] = self._done.get(held.identity, 0) + 1
                if len(self._done) > _MOST:
                    del self._done[next(iter(self._done))]
        for channel, mine in numbers.items():
            if channel.broken is None:
                self._send(channel, sorted(mine), ids, arguments)

    def _send(self, channel: Channel, mine: Sequence[int], ids: methods.Ids, arguments: methods.Answering) -> None:
        """As many at once as are older than everything that is still held."""
        kept = (held.number for held in self.held if held.channel is channel)  # they came in their order
        oldest = next(kept, mine[-1] + 1)
        together = [number for number in mine if number < oldest]
        if together:
            channel.send(ids, arguments(together[-1], multiple=len(together) > 1))
        for number in mine[len(together) :]:
            channel.send(ids, arguments(number))

    def _forget(self, held: Held) -> bool:
        lost = self._lost.get(held.identity, [])
        if held not in lost:
            return False
        lost.remove(held)
        if not lost:
            del self._lost[held.identity]
        return True

    def _count_down(self, identity: str) -> None:
        self._done[identity] -= 1
        if not self._done[identity]:
            del self._done[identity]
