"""Messages in Redis, in kombu's layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock.brokers.redis.consumer import RedisConsumer
from penstock.brokers.redis.envelope import Tags, decode, encode, handle, level, marked, published_at
from penstock.core.broker import Broker, Consumer, Declaration, QueueDepth, Withdrawal
from penstock.core.encoding import loads
from penstock.core.errors import MessageTooLarge
from penstock.core.message import Message
from penstock.core.opening import Opener
from penstock.core.step import Step
from penstock.drivers.redis import Redis, open_driver
from penstock.drivers.redis.transaction import MOST, Answer, Transaction
from penstock.drivers.redis.wire import Argument

#: Redis' own limit on a value (proto-max-bulk-len), as base64 and with room for the envelope
_LARGEST = 384 * 1024 * 1024
_SCAN = 1000


class RedisBroker(Broker):
    """Messages in one database of a Redis server."""

    def __init__(self, driver: Redis) -> None:
        self.driver: Redis = driver
        self.prefix = driver.address.prefix
        self.tags = Tags(driver.clock)
        driver.require("penstock.brokers.redis", "broker.lua")

    def publish(self, messages: Sequence[Message]) -> Step[None]:
        """Put messages into their queues."""
        ready: dict[tuple[str, str], list[Argument]] = {}
        later: dict[str, list[Argument]] = {}
        celery, now = self.driver.address.celery_priorities, self.driver.clock()
        for message in messages:
            if len(message.body) > _LARGEST:
                raise MessageTooLarge(len(message.body), _LARGEST)
            tag, where = self.tags.new(message.task_id), level(message.priority, celery)
            envelope = encode(message, tag)
            # Celery's workers hold what is early, ours hand it back: nobody need know of a place beside the queue
            if message.due is not None and message.due > now - 1 and not celery:
                later.setdefault(message.queue, []).extend((f"{message.due:.6f}", tag, where, envelope))
            else:
                ready.setdefault((message.queue, where), []).append(envelope)

        def work(transaction: Transaction) -> Answer:
            for queue, sleepers in later.items():
                transaction.do("declare", queue)
                for first in range(0, len(sleepers), MOST):
                    transaction.do("delay", queue, *sleepers[first : first + MOST])
            for (queue, where), envelopes in ready.items():
                for first in range(0, len(envelopes), MOST):
                    transaction.do("publish", queue, where, *envelopes[first : first + MOST])
            for queue in (*later, *(name for name, _ in ready)):
                transaction.wake(self.driver.channel(f"queue.{queue}"))
            return _nothing

        return self.driver.step(work)

    def declare(self, declarations: Sequence[Declaration]) -> Step[None]:
        """Have queues before their first messages."""
        queues = [each.plain() for each in declarations]

        def work(transaction: Transaction) -> Answer:
            transaction.do("declare", *queues)
            for queue in queues:
                transaction.wake(self.driver.channel(f"queue.{queue}"))
            return _nothing

        return self.driver.step(work)

    def consume(self, queues: Sequence[str], lease: str) -> Consumer:
        """Make a consumer of `queues`; every claim names `lease`."""
        return RedisConsumer(self.driver, queues, lease)

    def release(self, leases: Sequence[str]) -> Step[list[str]]:
        """Make what is claimed under dead leases deliverable again."""

        async def work(transaction: Transaction) -> Answer:
            fields = [(score, field) for score, field in await self._claimed() if _lease(field) in leases]
            fields.sort(reverse=True)  # each goes to the front of its queue: the first claimed last
            arguments: list[Argument] = []
            ids: list[str] = []
            queues: set[str] = set()
            names = [field for _, field in fields]
            for first in range(0, len(names), _SCAN):
                some = names[first : first + _SCAN]
                for field, entry in zip(some, await self._entries(some), strict=True):
                    if entry is None:
                        continue
                    raw, queue = _unwrapped(entry)
                    message, _ = decode(raw, queue)
                    arguments += (_lease(field), queue, _level(field), field, marked(raw))
                    ids.append(message.task_id)
                    queues.add(queue)
            places = [transaction.do("release", *arguments[at : at + MOST]) for at in range(0, len(arguments), MOST)]
            for queue in queues:
                transaction.wake(self.driver.channel(f"queue.{queue}"))

            def answer(replies: list[Any]) -> list[str]:
                there = [each for place in places for each in replies[place]]
                return [task_id for task_id, was in zip(ids, there, strict=True) if was]

            return answer

        return self.driver.step(work)

    def keep(self, leases: Sequence[str]) -> Step[None] | None:
        """Enter anew what is held for long, so that Celery's workers, who count from the entry, do not restore it."""

        def work(transaction: Transaction) -> Answer:
            transaction.do("keep", self.driver.address.visibility_timeout / 4, *leases)
            return _nothing

        return self.driver.step(work)

    def holders(self) -> Step[list[str]]:
        """The leases that messages are claimed under."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("ask", "HKEYS", f"{self.driver.keys}held")
            return lambda replies: sorted({field.decode().partition("\0")[0] for field in replies[place]})

        return self.driver.step(work)

    def withdraw(self, task_id: str) -> Step[Withdrawal]:
        """Remove the waiting messages of a task."""
        name = handle(task_id)

        def work(transaction: Transaction) -> Answer:
            if not name:
                return lambda _: Withdrawal(0)
            place = transaction.do("withdraw", name)

            async def answer(replies: list[Any]) -> Withdrawal:
                mark = f"|{name}~"
                holder = next((_lease(field) for _, field in await self._claimed() if mark in field), None)
                return Withdrawal(replies[place], holder)

            return answer

        return self.driver.step(work)

    def depth(self, queues: Sequence[str] | None = None) -> Step[list[QueueDepth]]:
        """Count the messages of queues."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("depth")

            def answer(replies: list[Any]) -> list[QueueDepth]:
                rows, held = replies[place]
                claimed: dict[str, int] = {}
                for field, count in zip(held[::2], held[1::2], strict=True):
                    queue = field.decode().partition("\0")[2]
                    claimed[queue] = claimed.get(queue, 0) + int(count)
                found = [_depth(row, claimed) for row in rows]
                return sorted(
                    (each for each in found if queues is None or each.name in queues), key=lambda each: each.name
                )

            return answer

        return self.driver.step(work)

    def pause(self, queue: str, paused: bool) -> Step[None]:
        """Stop or resume deliveries of a queue."""

        def work(transaction: Transaction) -> Answer:
            transaction.do("call", "SADD", f"{self.driver.keys}queues", queue)
            transaction.do("call", "SADD" if paused else "SREM", f"{self.driver.keys}paused", queue)
            transaction.wake(self.driver.channel(f"queue.{queue}"))
            return _nothing

        return self.driver.step(work)

    def purge(self, queue: str, limit: int = 1000) -> Step[list[str]]:
        """Remove at most `limit` waiting messages."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("purge", queue, limit)
            return lambda replies: [decode(raw, queue)[0].task_id for raw in replies[place]]

        return self.driver.step(work)

    def ping(self) -> Step[None]:
        """Answer if a message could be written now."""

        def work(transaction: Transaction) -> Answer:
            transaction.do("call", "SET", f"{self.driver.keys}ping", "1", "PX", 1000)
            return _nothing

        return self.driver.step(work)

    async def _claimed(self) -> list[tuple[float, str]]:
        """(when, field) of all that our workers have claimed, in portions that do not hold the server up."""
        found: dict[str, float] = {}
        cursor: Argument = 0
        while True:
            command = ("ZSCAN", f"{self.prefix}unacked_index", cursor, "MATCH", "penstock|*", "COUNT", _SCAN)
            [(following, pairs)] = await self.driver.ask([command])
            found |= {name.decode(): float(score) for name, score in zip(pairs[::2], pairs[1::2], strict=True)}
            cursor = int(following)
            if not cursor:
                return [(score, name) for name, score in found.items()]

    async def _entries(self, fields: Sequence[str]) -> list[bytes | None]:
        [entries] = await self.driver.ask([("HMGET", f"{self.prefix}unacked", *fields)])
        return list(entries)


def _nothing(replies: list[Any]) -> None:
    del replies


def _lease(field: str) -> str:
    """The lease in `penstock|lease|level|tag`."""
    return field[len("penstock|") :].rsplit("|", 2)[0]


def _level(field: str) -> str:
    return field.rsplit("|", 2)[1]


def _unwrapped(entry: bytes) -> tuple[bytes, str]:
    """The envelope and the queue of an entry `[envelope,"","queue"]`."""
    at = entry.rindex(b',"","')
    return entry[1:at], loads(entry[at + 4 : -1])


def _depth(row: Sequence[Any], claimed: dict[str, int]) -> QueueDepth:
    name = row[0].decode()
    times = [published_at(tag.decode("utf-8", "replace")) for tag in row[4]]
    known = [moment for moment in times if moment is not None]
    lanes = {key.decode(): count for key, count in zip(row[5][::2], row[5][1::2], strict=True)}
    return QueueDepth(name, row[1], row[2], claimed.get(name, 0), bool(row[3]), min(known, default=None), lanes)


#: the broker in the database that `url` names
open_broker: Final = Opener(Redis, open_driver, lambda driver, _: RedisBroker(driver))
