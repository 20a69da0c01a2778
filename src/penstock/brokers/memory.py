"""Messages in this process's memory, for tests: the behaviour of a broker without its durability."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from penstock.core.broker import Broker, Consumer, Declaration, QueueDepth, Withdrawal
from penstock.core.consumer import BATCH_BYTES, Claim, ClaimingConsumer
from penstock.core.encoding import dumps, loads
from penstock.core.message import Delivery, Message, priority_step
from penstock.core.opening import Opener
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store, Table, open_driver

#: the topic that wakes consumers
MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits (ready or delayed) or is claimed."""

    id: int  #: the order of publishing
    queue: str
    priority: int
    due: float | None  #: delayed until then
    published: float
    task_id: str
    head: bytes  #: JSON, so that what comes out is what went in, whatever its publisher does to it later
    body: bytes
    lease: str | None = None
    redelivered: bool = False

    @property
    def place(self) -> tuple[int, int]:
        """Its place in the order of its queue."""
        return -priority_step(self.priority), self.id

    def delivery(self) -> Delivery:
        headers, properties = loads(self.head)
        return Delivery(Message(self.body, headers, properties, self.queue, self.priority), self.id, self.redelivered)


class Lines:
    """Who is next: heaps of places. A place may be outdated; the messages' table decides."""

    def __init__(self) -> None:
        self.last_id = 0
        self._ready: dict[str, list[tuple[int, int]]] = {}
        self._delayed: dict[str, list[tuple[float, int]]] = {}

    def add(self, waiting: Waiting) -> None:
        if waiting.due is None:
            heapq.heappush(self._ready.setdefault(waiting.queue, []), waiting.place)
        else:
            heapq.heappush(self._delayed.setdefault(waiting.queue, []), (waiting.due, waiting.id))

    def first(self, queue: str, messages: Table[int, Waiting]) -> Waiting | None:
        """The ready message at the front of a queue."""
        line = self._ready.get(queue, [])
        while line:
            waiting = messages.get(line[0][1])
            if waiting is not None and waiting.lease is None and waiting.due is None:
                return waiting
            heapq.heappop(line)
        return None

    def next_due(self, queue: str, messages: Table[int, Waiting]) -> Waiting | None:
        """The delayed message of a queue that is due first."""
        line = self._delayed.get(queue, [])
        while line:
            due, id_ = line[0]
            waiting = messages.get(id_)
            if waiting is not None and waiting.due == due:
                return waiting
            heapq.heappop(line)
        return None


class Messages:
    """The broker's part of a store while a step runs."""

    def __init__(self, store: Store) -> None:
        self.rows: Table[int, Waiting] = store.table("messages")
        self.paused: Table[str, bool] = store.table("queues")  #: every queue there is
        self.lines = store.part("lines", Lines)
        self._store = store

    def add(self, message: Message, head: bytes, now: float) -> None:
        self.lines.last_id += 1
        due = message.due if message.due is not None and message.due > now else None
        id_ = self.lines.last_id
        row = Waiting(id_, message.queue, message.priority, due, now, message.task_id, head, message.body)
        self.paused.setdefault(message.queue, False)
        self.put(row)

    def put(self, row: Waiting) -> None:
        """Write a row that waits, and give it its place; on a rollback the earlier row gets its own back."""
        before = self.rows.get(row.id)
        if before is not None:
            self._store.undo(lambda: self.lines.add(before))
        self.rows[row.id] = row
        self.lines.add(row)

    def claim(self, row: Waiting, lease: str) -> None:
        self._store.undo(lambda: self.lines.add(row))
        self.rows[row.id] = replace(row, lease=lease)

    def remove(self, rows: Iterable[Waiting]) -> list[str]:
        """Delete rows that waited; return their task ids."""
        gone = list(rows)
        for row in gone:
            self._store.undo(lambda row=row: self.lines.add(row))  # type: ignore[misc]
            del self.rows[row.id]
        return [row.task_id for row in gone]

    def waiting(self) -> list[Waiting]:
        """The rows that wait, in the order of publishing."""
        return sorted((row for row in self.rows.values() if row.lease is None), key=lambda row: row.id)

    def held(self, deliveries: Sequence[Delivery], lease: str) -> list[Waiting]:
        """The rows of `deliveries` that are still claimed under `lease`."""
        rows = (self.rows.get(delivery.tag) for delivery in deliveries)
        return [row for row in rows if row is not None and row.lease == lease]


class MemoryBroker(Broker):
    """Messages in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self.driver: Memory = driver

    def publish(self, messages: Sequence[Message]) -> Step[None]:
        """Put messages into their queues."""
        heads = [dumps([message.headers, message.properties], where="message") for message in messages]

        def publish(store: Store) -> None:
            here = Messages(store)
            for message, head in zip(messages, heads, strict=True):
                here.add(message, head, self.driver.clock())

        return self.driver.write(publish, MESSAGES)

    def declare(self, declarations: Sequence[Declaration]) -> Step[None]:
        """Have queues before their first messages."""
        queues = [each.plain() for each in declarations]

        def declare(store: Store) -> None:
            paused = Messages(store).paused
            for queue in queues:
                paused.setdefault(queue, False)

        return self.driver.write(declare)

    def consume(self, queues: Sequence[str], lease: str) -> Consumer:
        """Make a consumer of `queues`; every claim names `lease`."""
        return MemoryConsumer(self.driver, queues, lease)

    def release(self, leases: Sequence[str]) -> Step[list[str]]:
        """Make what is claimed under dead leases deliverable again."""

        def release(store: Store) -> list[str]:
            here = Messages(store)
            found = [row for row in here.rows.values() if row.lease in leases]
            for row in found:
                here.put(replace(row, lease=None, redelivered=True))
            return [row.task_id for row in found]

        return self.driver.write(release, MESSAGES)

    def holders(self) -> Step[list[str]]:
        """The leases that messages are claimed under."""

        def holders(store: Store) -> list[str]:
            return sorted({row.lease for row in Messages(store).rows.values() if row.lease is not None})

        return self.driver.read(holders)

    def withdraw(self, task_id: str) -> Step[Withdrawal]:
        """Remove the waiting messages of a task."""

        def withdraw(store: Store) -> Withdrawal:
            here = Messages(store)
            rows = [row for row in here.rows.values() if row.task_id == task_id != ""]
            removed = here.remove(row for row in rows if row.lease is None)
            return Withdrawal(len(removed), next((row.lease for row in rows if row.lease is not None), None))

        return self.driver.write(withdraw)

    def depth(self, queues: Sequence[str] | None = None) -> Step[list[QueueDepth]]:
        """Count the messages of queues."""

        def depth(store: Store) -> list[QueueDepth]:
            here = Messages(store)
            return [_depth(here, name) for name in sorted(here.paused) if queues is None or name in queues]

        return self.driver.read(depth)

    def pause(self, queue: str, paused: bool) -> Step[None]:
        """Stop or resume deliveries of a queue."""

        def pause(store: Store) -> None:
            Messages(store).paused[queue] = paused

        return self.driver.write(pause, MESSAGES)

    def purge(self, queue: str, limit: int = 1000) -> Step[list[str]]:
        """Remove at most `limit` waiting messages."""

        def purge(store: Store) -> list[str]:
            here = Messages(store)
            return here.remove([row for row in here.waiting() if row.queue == queue][:limit])

        return self.driver.write(purge)

    def ping(self) -> Step[None]:
        """Memory always answers."""
        return self.driver.read(_nothing)


class MemoryConsumer(ClaimingConsumer):
    """Claims under one lease."""

    def __init__(self, driver: Memory, queues: Sequence[str], lease: str) -> None:
        super().__init__(queues, lambda: driver.listen(MESSAGES), driver.clock)
        self._driver = driver
        self._lease = lease

    def claim(self, queues: Sequence[str], limit: int) -> Step[Claim]:
        """Promote what is due, then claim from the front of the queues."""

        def claim(store: Store) -> Claim:
            here = Messages(store)
            active = [queue for queue in queues if not here.paused.get(queue)]
            _promote(here, active, self._driver.clock())
            rows = _batch(here, active, limit, self._lease)
            if rows:
                return Claim([row.delivery() for row in rows])
            next_due = [row.due for queue in active if (row := here.lines.next_due(queue, here.rows)) and row.due]
            return Claim([], min(next_due, default=None))

        return self._driver.write(claim)

    def settle(self, deliveries: Sequence[Delivery]) -> Step[None]:
        """Forget messages that are done."""

        def settle(store: Store) -> None:
            here = Messages(store)
            for row in here.held(deliveries, self._lease):
                del here.rows[row.id]

        return self._driver.write(settle)

    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[None]:
        """Give messages back unrun."""

        def hand_back(store: Store) -> None:
            here = Messages(store)
            due = self._driver.clock() + delay if delay > 0 else None
            for row in here.held(deliveries, self._lease):
                here.put(replace(row, lease=None, due=due))

        return self._driver.write(hand_back, MESSAGES)


def _promote(here: Messages, queues: Sequence[str], now: float) -> None:
    for queue in queues:
        while (row := here.lines.next_due(queue, here.rows)) and row.due is not None and row.due <= now:
            here.put(replace(row, due=None))


def _batch(here: Messages, queues: Sequence[str], limit: int, lease: str) -> list[Waiting]:
    """Claim in the order of delivery: the highest step first, queues of one step in turn."""
    found: list[Waiting] = []
    size = 0
    turns = list(queues)
    while len(found) < limit:
        fronts = [
            (row.place[0], turn, row) for turn, name in enumerate(turns) if (row := here.lines.first(name, here.rows))
        ]
        if not fronts:
            break
        _, turn, row = min(fronts, key=lambda front: front[:2])
        size += len(row.head) + len(row.body)
        if found and size > BATCH_BYTES:
            break
        turns.append(turns.pop(turn))
        here.claim(row, lease)
        found.append(row)
    return found


def _depth(here: Messages, name: str) -> QueueDepth:
    rows = [row for row in here.rows.values() if row.queue == name]
    ready = [row for row in rows if row.lease is None and row.due is None]
    claimed = sum(row.lease is not None for row in rows)
    delayed = len(rows) - len(ready) - claimed
    oldest = min((row.published for row in ready), default=None)
    return QueueDepth(name, len(ready), delayed, claimed, here.paused[name], oldest)


def _nothing(store: Store) -> None:
    """Nothing: that a step runs is the answer."""


#: the broker in the store that `url` names
open_broker: Final = Opener(Memory, open_driver, lambda driver, _: MemoryBroker(driver))
