"""Queues, lanes, exchanges and bindings in the server: what this process knows of them, and declares where missing.

Whatever somebody else declared is used as it is: the server tells how it differs, and that is how its kind is learned.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from penstock.brokers.rabbitmq import delays
from penstock.core.broker import Declaration
from penstock.core.errors import InvalidOptions, StorageError
from penstock.core.message import PRIORITY_STEPS
from penstock.drivers.amqp import methods
from penstock.drivers.amqp.channel import Broken, Channel
from penstock.drivers.rabbitmq import Rabbit
from penstock.drivers.rabbitmq.errors import ACCESS_REFUSED, LOCKED, NOT_FOUND, PRECONDITION_FAILED, translated

T = TypeVar("T")

CONTROL: Final = "penstock.control"  #: fanout exchange: what consumers are told
REGISTRY: Final = "penstock.queues"  #: a durable queue with a message for each queue that came to be through us
STEPS: Final = tuple(sorted((step for step in PRIORITY_STEPS if step), reverse=True))  #: those that have lanes
_CLASSIC: Final = {"x-queue-type": "classic"}
_SORTING: Final = {"x-max-priority": max(STEPS)}
_LONGEST_NAME: Final = 255
#: "inequivalent arg 'x-max-priority' for queue 'q' in vhost '/': received none but current is the value '5' of type …"
_DIFFERS: Final = re.compile(
    r"inequivalent arg '([^']+)' for queue .* but current is (?:the value )?'?([^']*)'?(?: of type '(\w+)')?", re.DOTALL
)
_MOST = 40  # channels that are open for questions at one time


@dataclass(frozen=True, slots=True)
class Kind:
    """How a queue was declared, as far as that matters here."""

    quorum: bool = False
    priorities: bool = False  #: it sorts by priority itself (x-max-priority)
    fleeting: bool = False  #: it ends with its last consumer (auto-delete), and so do its messages


def lane(queue: str, step: int) -> str:
    """The queue beside `queue` that holds a raised level."""
    plain = f"{queue}.penstock.{step}"
    return plain if len(plain.encode()) <= _LONGEST_NAME else f"penstock.{step}.{_short(queue)}"


def marker(queue: str) -> str:
    """The queue that holds a message while `queue` is paused."""
    plain = f"{queue}.penstock.paused"
    return plain if len(plain.encode()) <= _LONGEST_NAME else f"penstock.paused.{_short(queue)}"


class Topology:
    """What is declared. Every method that asks the server raises Unavailable or StorageError."""

    def __init__(self, driver: Rabbit) -> None:
        self.driver = driver
        self.kinds: dict[str, Kind] = {}  #: the queues that are known to be there
        self.lanes: set[str] = set()  #: lanes and other queues of ours that are known to be there
        self._wanted: dict[str, Declaration] = {}  # queues that somebody wants in a certain way
        self._bound: set[str] = set()  # queues that delayed messages find
        self._level = -1  # levels of delays that are there, from 0 up to this one
        self._control = False
        self._locks: dict[str, asyncio.Lock] = {}

    def forget(self) -> None:
        """Something turned out to be gone: look at everything again."""
        self.kinds.clear()
        self.lanes.clear()
        self._bound.clear()
        self._level, self._control = -1, False

    def doubt(self, names: Iterable[str]) -> None:
        """A connection may be gone, and with it those of these queues that are exclusive."""
        for name in names:
            if name in self._wanted and self._wanted[name].exclusive:
                self.kinds.pop(name, None)
                self._bound.discard(name)

    async def declare(self, wanted: Declaration) -> None:
        """Have a queue as somebody wants it, now and whenever it turns out to be gone."""
        self._wanted[wanted.queue] = wanted
        self.kinds.pop(wanted.queue, None)
        await self.source(wanted.queue)

    async def queue(self, name: str) -> Kind:
        """Have a queue: as it is wanted, else as Celery declares it, with its exchange and an entry in the registry."""
        async with self._lock(name):
            if name in self.kinds:
                return self.kinds[name]
            wanted = self._wanted.get(name, Declaration(name))
            if not wanted.exclusive and await self.count(name) is None:
                await self.register(name)
            kind = await (self._exclusive(name) if wanted.exclusive else self._declare(name))
            if wanted.exchange:
                for key in wanted.keys:
                    await self._ask(methods.QUEUE_BIND, methods.bind(name, wanted.exchange, key))
            self.kinds[name] = kind
            return kind

    async def source(self, name: str) -> Kind:
        """Have a queue to take messages from. Raises StorageError for one that would end between two batches."""
        kind = await self.queue(name)
        if kind.fleeting:
            raise StorageError(
                f"{self.driver.address.shown}: the queue {name!r} ends with its last consumer (auto-delete), and its "
                "messages with it: declare it without, or exclusive"
            )
        await self.bind(name)
        return kind

    async def own(self, name: str) -> None:
        """Have a queue of ours beside another one."""
        async with self._lock(name):
            if name not in self.lanes:
                await self._ask(methods.QUEUE_DECLARE, methods.queue_declare(name, arguments=_CLASSIC))
                self.lanes.add(name)

    async def delayed(self, target: str, level: int) -> None:
        """Have what a delayed message needs on its way to `target`: the levels, and the end of the way."""
        if target in self._bound and level <= self._level:
            return
        if not delays.fits(target):
            raise InvalidOptions({"queue": f"{target[:40]!r}… is too long a name for delays on RabbitMQ"})
        async with self._lock(delays.DELIVERY):
            await self._exits(target)
            for number in range(self._level + 1, level + 1):
                await self._make_level(number)
                self._level = number

    async def bind(self, target: str) -> None:
        """Have delayed messages of others find a queue, too.

        Celery's producers send into the levels where they know a queue to be of type quorum, and rely on a worker for
        the levels.
        """
        if self.kinds.get(target, Kind()).quorum and delays.fits(target):
            await self.delayed(target, delays.LEVELS - 1)
        elif target not in self._bound and delays.fits(target):
            async with self._lock(delays.DELIVERY):
                await self._exits(target)

    async def control(self) -> None:
        """Have the exchange that consumers listen to."""
        if not self._control:
            await self._ask(methods.EXCHANGE_DECLARE, methods.exchange_declare(CONTROL, "fanout"))
            self._control = True

    async def register(self, name: str) -> None:
        """Enter a queue in the registry; more than one entry does no harm."""
        await self.own(REGISTRY)
        await self.driver.publish([parcel(REGISTRY, name.encode())])

    async def count(self, name: str) -> int | None:
        """How many messages are ready in a queue; None if there is no such queue."""
        return (await self.counts([name]))[name]

    async def counts(self, names: Iterable[str]) -> dict[str, int | None]:
        """The same for several, each on a channel of its own: a wrong guess costs the channel."""
        wanted = list(dict.fromkeys(names))
        found: dict[str, int | None] = {}
        for first in range(0, len(wanted), _MOST):
            some = wanted[first : first + _MOST]
            found |= zip(some, await asyncio.gather(*map(self._count, some)), strict=True)
        return found

    async def _count(self, name: str) -> int | None:
        line = self.driver.working
        channel = await line.channel()
        try:
            answer = await line.within(channel.call(methods.QUEUE_DECLARE, methods.queue_declare(name, passive=True)))
        except Broken as error:
            if error.code in (NOT_FOUND, LOCKED):
                return None
            raise translated(error, self.driver.address) from error
        channel.discard()
        return methods.message_count(answer)

    async def _declare(self, name: str) -> Kind:
        """Declare a queue as Celery does; where it exists otherwise, with the arguments that the server names."""
        arguments: dict[str, Any] = {}
        durable, fleeting = True, False
        for _ in range(12):
            channel = await self.driver.working.channel()
            asked = methods.queue_declare(name, durable=durable, auto_delete=fleeting, arguments=arguments)
            try:
                await self.driver.working.within(channel.call(methods.QUEUE_DECLARE, asked))
            except Broken as error:
                differs = _DIFFERS.search(error.text) if error.code == PRECONDITION_FAILED else None
                if differs is None:
                    raise translated(error, self.driver.address) from error
                if differs[1] == "durable":
                    durable = not durable
                elif differs[1] == "auto_delete":
                    fleeting = not fleeting
                elif differs[1] in arguments:
                    break
                else:
                    arguments[differs[1]] = _value(differs[2], differs[3])
                continue
            await self._exchange(channel, name)
            break
        return Kind(arguments.get("x-queue-type") == "quorum", "x-max-priority" in arguments, fleeting)

    async def _exclusive(self, name: str) -> Kind:
        """Declare a queue that ends with this connection; it sorts by priority itself, as lanes would outlive it."""
        declared = methods.queue_declare(name, durable=False, exclusive=True, arguments=_SORTING)
        await self._ask(methods.QUEUE_DECLARE, declared)
        return Kind(priorities=True)

    async def _exchange(self, channel: Channel, name: str) -> None:
        """The exchange that Celery gives each queue; one of that name that is another's is left alone."""
        line = self.driver.working
        try:
            await line.within(channel.call(methods.EXCHANGE_DECLARE, methods.exchange_declare(name, "direct")))
            await line.within(channel.call(methods.QUEUE_BIND, methods.bind(name, name, name)))
        except Broken as error:
            if error.code not in (PRECONDITION_FAILED, ACCESS_REFUSED):
                raise translated(error, self.driver.address) from error
        else:
            channel.discard()

    async def _exits(self, target: str) -> None:
        if target in self._bound:
            return
        if not self._bound:
            await self._ask(methods.EXCHANGE_DECLARE, methods.exchange_declare(delays.DELIVERY, "topic"))
        await self._ask(methods.QUEUE_BIND, methods.bind(target, delays.DELIVERY, delays.pattern(target)))
        self._bound.add(target)

    async def _make_level(self, level: int) -> None:
        name, lower = delays.name(level), delays.name(level - 1) if level else delays.DELIVERY
        await self._ask(methods.EXCHANGE_DECLARE, methods.exchange_declare(name, "topic"))
        if await self.count(name) is None:  # Celery may be set to have them classic: used as they are
            declared = methods.queue_declare(name, arguments=delays.arguments(level))
            await self._ask(methods.QUEUE_DECLARE, declared)
        await self._ask(methods.QUEUE_BIND, methods.bind(name, name, delays.waits(level)))
        await self._ask(methods.EXCHANGE_BIND, methods.bind(lower, name, delays.passes(level)))

    async def _ask(self, ids: methods.Ids, arguments: bytes) -> None:
        """One question on a channel of its own."""
        channel = await self.driver.working.channel()
        await self.driver.working.answer(channel.call(ids, arguments))
        channel.discard()

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())


def parcel(
    key: str, body: bytes, properties: bytes = b"\x10\x00\x02", exchange: str = "", mandatory: bool = True
) -> tuple[bytes, str, bytes, bytes]:
    """A message of our own for the driver; without other properties it is persistent."""
    return methods.publish(exchange, key, mandatory=mandatory), key, properties, body


def rotated(queues: Sequence[T], by: int) -> list[T]:
    """The same, another one first."""
    turn = by % len(queues) if queues else 0
    return [*queues[turn:], *queues[:turn]]


def _value(text: str, kind: str | None) -> Any:
    """An argument as the server shows it."""
    if kind in ("longstr", None):
        return text
    if kind == "bool":
        return text == "true"
    try:
        return int(text)
    except ValueError:
        return text


def _short(queue: str) -> str:
    return hashlib.blake2b(queue.encode(), digest_size=16).hexdigest()
