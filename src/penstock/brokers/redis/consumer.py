"""Claims under one lease."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from penstock.brokers.redis.doorstep import Doorstep
from penstock.brokers.redis.envelope import decode
from penstock.core.consumer import BATCH_BYTES, Claim, ClaimingConsumer
from penstock.core.encoding import dumps
from penstock.core.message import Delivery, Standing
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import Answer, Transaction
from penstock.drivers.redis.wire import Argument


@dataclass(slots=True)
class Held:
    """What a delivery's tag is: where the message stands. Not frozen: that would take thrice the time to make."""

    order: int  #: of its claim
    queue: str
    level: str
    field: str
    tag: str


class RedisConsumer(ClaimingConsumer):
    """Takes messages from lists."""

    def __init__(self, driver: Redis, queues: Sequence[str], lease: str) -> None:
        super().__init__(queues, self._doorstep, driver.clock)
        self._driver = driver
        self._lease = lease
        self._tails = {queue: b',"",' + dumps(queue) + b"]" for queue in queues}
        self._held: dict[str, Held] = {}  #: to tell what was claimed by a call whose answer got lost
        self._claims = 0

    async def _fetch(self, limit: int) -> list[Delivery]:
        return self._told(await super()._fetch(limit))

    def _told(self, deliveries: list[Delivery]) -> list[Delivery]:
        self._held.update((delivery.tag.field, delivery.tag) for delivery in deliveries)
        return deliveries

    def claim(self, queues: Sequence[str], limit: int) -> Step[Claim]:
        """Promote what is due, then claim from the front of the queues."""
        arguments: list[Argument] = [self._lease, limit, BATCH_BYTES]
        for queue in queues:
            arguments += (queue, self._tails[queue])

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("claim", *arguments)
            look = self._driver.look and self._driver.look(transaction)
            return lambda replies: self._claimed(replies[place], look(replies) if look else repeat(None))

        return self._driver.step(work)

    def settle(self, deliveries: Sequence[Delivery]) -> Step[None]:
        """Forget messages that are done."""
        fields: dict[str, list[str]] = {}
        for delivery in deliveries:
            fields.setdefault(delivery.tag.queue, []).append(delivery.tag.field)

        def work(transaction: Transaction) -> Answer:
            for queue, names in fields.items():
                transaction.do("settle", self._lease, queue, *names)
            return lambda _: self._forget(deliveries)

        return self._driver.step(work)

    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[None]:
        """Give messages back unrun."""
        groups: dict[str, list[Argument]] = {}
        for delivery in sorted(deliveries, key=lambda each: -int(each.tag.order)):
            held: Held = delivery.tag
            groups.setdefault(held.queue, []).extend((held.level, held.field, held.tag))

        def work(transaction: Transaction) -> Answer:
            due = f"{self._driver.clock() + delay:.6f}" if delay > 0 else ""
            for queue, arguments in groups.items():
                transaction.do("hand_back", self._lease, queue, len(self._tails[queue]), due, *arguments)
                transaction.wake(self._driver.channel(f"queue.{queue}"))
            return lambda _: self._forget(deliveries)

        return self._driver.step(work)

    def _doorstep(self) -> Doorstep:
        driver = self._driver
        bell = driver.listen(*(f"queue.{queue}" for queue in self._queues))
        return Doorstep(bell, driver.address, [f"{driver.address.prefix}{queue}" for queue in self._queues])

    def _claimed(self, answer: list[Any], standings: Iterable[Standing | None]) -> Claim:
        due, *portions = answer
        found, each = [], iter(standings)
        for name, where, tags, messages in portions:
            queue, level = name.decode(), where.decode()
            for tag, raw in zip(tags, messages, strict=True):
                delivery = self._delivery(queue, level, tag.decode("utf-8", "surrogateescape"), raw)
                standing = next(each)
                if standing is not None and delivery.tag.tag.startswith(f"{delivery.message.task_id}~"):
                    delivery.standing = standing  # else a stranger gave it a tag that names another task
                found.append(delivery)
        if found and isinstance(self._listener, Doorstep):
            self._listener.served()
        return Claim(found, float(due) if due else None)

    def _delivery(self, queue: str, level: str, tag: str, raw: bytes) -> Delivery:
        self._claims += 1
        held = Held(self._claims, queue, level, f"penstock|{self._lease}|{level}|{tag}", tag)
        message, redelivered = decode(raw, queue)
        return Delivery(message, held, redelivered)

    def _forget(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._held.pop(delivery.tag.field, None)

    async def recovered(self) -> list[Delivery]:
        """What was claimed by a call whose answer got lost."""
        prefix = self._driver.address.prefix
        own = f"penstock|{self._lease}|"
        names: list[str] = []
        cursor: Argument = 0
        while True:
            [(following, pairs)] = await self._driver.ask(
                [("ZSCAN", f"{prefix}unacked_index", cursor, "MATCH", "penstock|*", "COUNT", 1000)]
            )
            found = (name.decode("utf-8", "surrogateescape") for name in pairs[::2])
            names += [name for name in found if name.startswith(own) and name not in self._held]
            cursor = int(following)
            if not cursor:
                break
        if not names:
            return []
        [entries] = await self._driver.ask([("HMGET", f"{prefix}unacked", *names)])
        pairs = zip(names, entries, strict=True)
        return self._told([delivery for name, entry in pairs if (delivery := self._again(name, entry))])

    def _again(self, name: str, entry: bytes | None) -> Delivery | None:
        queue = next((each for each, tail in self._tails.items() if entry and entry.endswith(tail)), None)
        if queue is None or entry is None:
            return None
        level, tag = name[len(f"penstock|{self._lease}|") :].split("|", 1)
        return self._delivery(queue, level, tag, entry[1 : -len(self._tails[queue])])
