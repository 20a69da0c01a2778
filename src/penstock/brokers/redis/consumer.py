"""Claims under one lease."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from penstock.brokers.redis.envelope import decode, sleeps_until
from penstock.core.consumer import BATCH_BYTES, Claim, ClaimingConsumer, Listener
from penstock.core.encoding import dumps
from penstock.core.errors import PenstockError
from penstock.core.message import Delivery
from penstock.core.step import Step, commit
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import Answer, Transaction
from penstock.drivers.redis.wire import Argument

#: seconds; a push by a foreign producer wakes nobody by itself: who sleeps looks again
NET = 1.0


@dataclass(frozen=True, slots=True)
class Held:
    """What a delivery's tag is: where the message stands."""

    order: int  #: of its claim
    queue: str
    level: str
    field: str
    tag: str


class Net(Listener):
    """A listener that wakes at least every NET seconds."""

    def __init__(self, bell: Listener) -> None:
        self._bell = bell

    async def wait(self, timeout: float | None = None) -> bool:
        return await self._bell.wait(NET if timeout is None else min(NET, timeout))

    def poke(self) -> None:
        self._bell.poke()

    async def close(self) -> None:
        await self._bell.close()


class RedisConsumer(ClaimingConsumer):
    """Takes messages from lists; keeps its own from being restored by Celery."""

    def __init__(self, driver: Redis, queues: Sequence[str], lease: str) -> None:
        super().__init__(queues, lambda: Net(driver.listen(*(f"queue.{queue}" for queue in queues))), driver.clock)
        self._driver = driver
        self._lease = lease
        self._tails = {queue: b',"",' + dumps(queue) + b"]" for queue in queues}
        self._held: dict[str, Held] = {}
        self._claims = 0
        self._doubtful = False
        self._refreshing: asyncio.Task[None] | None = None

    async def fetch(self, limit: int) -> list[Delivery]:
        """Claim a batch; wait until there is one. A foreign message whose time has not come goes to sleep."""
        if self._refreshing is None:
            self._refreshing = asyncio.get_running_loop().create_task(self._refresh())
        if self._doubtful and (lost := await self._recovered()):
            return lost
        while True:
            self._doubtful = True  # until the answer is here
            deliveries = await super().fetch(limit)
            self._doubtful = False
            early = [each for each in deliveries if self._early(each)]
            if not early:
                return deliveries
            await commit(*(self.hand_back([each], self._early(each)) for each in early))
            if len(early) < len(deliveries):
                return [each for each in deliveries if each not in early]

    async def stop(self) -> None:
        """No more messages."""
        await super().stop()
        if not self._held:
            await self._rest_easy()

    def claim(self, queues: Sequence[str], limit: int) -> Step[Claim]:
        """Promote what is due, then claim from the front of the queues."""
        arguments: list[Argument] = [self._lease, limit, BATCH_BYTES]
        for queue in queues:
            arguments += (queue, self._tails[queue])

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("claim", *arguments)
            return lambda replies: self._claimed(replies[place])

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

    def _claimed(self, answer: list[Any]) -> Claim:
        due, *portions = answer
        found = []
        for name, where, tags, messages in portions:
            queue, level = name.decode(), where.decode()
            for tag, raw in zip(tags, messages, strict=True):
                found.append(self._delivery(queue, level, tag.decode("utf-8", "surrogateescape"), raw))
        return Claim(found, float(due) if due else None)

    def _delivery(self, queue: str, level: str, tag: str, raw: bytes) -> Delivery:
        self._claims += 1
        held = Held(self._claims, queue, level, f"penstock|{self._lease}|{level}|{tag}", tag)
        self._held[held.field] = held
        message, redelivered = decode(raw, queue)
        return Delivery(message, held, redelivered)

    def _forget(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._held.pop(delivery.tag.field, None)
        if self._stopped and not self._held and self._refreshing is not None:
            self._refreshing.cancel()

    def _early(self, delivery: Delivery) -> float:
        """Seconds until a message may run; 0 for now."""
        until = sleeps_until(delivery.message)
        return 0.0 if until is None else max(0.0, until - self._clock())

    async def _recovered(self) -> list[Delivery]:
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
        self._doubtful = False
        if not names:
            return []
        [entries] = await self._driver.ask([("HMGET", f"{prefix}unacked", *names)])
        return [delivery for name, entry in zip(names, entries, strict=True) if (delivery := self._again(name, entry))]

    def _again(self, name: str, entry: bytes | None) -> Delivery | None:
        queue = next((each for each, tail in self._tails.items() if entry and entry.endswith(tail)), None)
        if queue is None or entry is None:
            return None
        level, tag = name[len(f"penstock|{self._lease}|") :].split("|", 1)
        return self._delivery(queue, level, tag, entry[1 : -len(self._tails[queue])])

    async def _refresh(self) -> None:
        """Keep Celery from restoring what is held for long."""
        while True:
            await asyncio.sleep(self._driver.address.visibility_timeout / 4)
            fields = list(self._held)[:1000]
            if fields:
                with contextlib.suppress(PenstockError):
                    await self._driver.step(partial(_refreshed, fields=fields))

    async def _rest_easy(self) -> None:
        task, self._refreshing = self._refreshing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _refreshed(transaction: Transaction, fields: Sequence[str]) -> Answer:
    transaction.do("refresh", *fields)
    return lambda _: None
