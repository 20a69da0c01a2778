"""Messages in SQLite. The statements are in sql/sqlite.sql; the driver runs them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from typing import Any, Final

from penstock.core.broker import Broker, Consumer, Declaration, QueueDepth, Withdrawal
from penstock.core.consumer import BATCH_BYTES, Claim, ClaimingConsumer
from penstock.core.encoding import dumps
from penstock.core.errors import MessageTooLarge
from penstock.core.head import head_of, message_of
from penstock.core.message import Delivery, Message, priority_step
from penstock.core.opening import Opener
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite, open_driver

_SQL = sqlfile.load("penstock.brokers", "sql/sqlite.sql")
#: raised with every change of the tables or their contents
_VERSION = 2
#: the topic that wakes consumers
MESSAGES = "messages"
#: of a second; what ids count
MICROSECONDS = 1_000_000
#: due messages that one claim makes ready
_PROMOTE = 1000
#: SQLite's own limit on a value (SQLITE_MAX_LENGTH, bytes), less what the row needs besides
_LARGEST = 1_000_000_000 - 1_000_000


class SQLiteBroker(Broker):
    """Messages in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self.driver: SQLite = driver
        driver.require("broker", sqlfile.split(_SQL["schema"]), _VERSION)

    def publish(self, messages: Sequence[Message]) -> Step[None]:
        """Put messages into their queues."""
        for message in messages:
            if len(message.body) > _LARGEST:
                raise MessageTooLarge(len(message.body), _LARGEST)
        queues = {(message.queue,) for message in messages}
        heads = [head_of(message) for message in messages]

        def publish(connection: sqlite3.Connection) -> None:
            now = self.driver.clock()
            for queue in queues:
                connection.execute(_SQL["add_queue"], queue)
            rows = [_row(message, head, now) for message, head in zip(messages, heads, strict=True)]
            connection.executemany(_SQL["publish"], rows)

        return self.driver.write(publish, MESSAGES)

    def declare(self, declarations: Sequence[Declaration]) -> Step[None]:
        """Have queues before their first messages."""
        queues = [(each.plain(),) for each in declarations]

        def declare(connection: sqlite3.Connection) -> None:
            connection.executemany(_SQL["add_queue"], queues)

        return self.driver.write(declare)

    def consume(self, queues: Sequence[str], lease: str) -> Consumer:
        """Make a consumer of `queues`; every claim names `lease`."""
        return SQLiteConsumer(self.driver, queues, lease)

    def release(self, leases: Sequence[str]) -> Step[list[str]]:
        """Make what is claimed under dead leases deliverable again."""
        given = {"leases": dumps(list(leases)).decode()}
        return self.driver.write(lambda connection: _column(connection, "release", given), MESSAGES)

    def holders(self) -> Step[list[str]]:
        """The leases that messages are claimed under."""
        return self.driver.read(lambda connection: _column(connection, "holders", {}))

    def withdraw(self, task_id: str) -> Step[Withdrawal]:
        """Remove the waiting messages of a task."""

        def withdraw(connection: sqlite3.Connection) -> Withdrawal:
            removed = connection.execute(_SQL["withdraw"], (task_id,)).rowcount
            holder = connection.execute(_SQL["holder"], (task_id,)).fetchone()
            return Withdrawal(removed, holder[0] if holder else None)

        return self.driver.write(withdraw)

    def depth(self, queues: Sequence[str] | None = None) -> Step[list[QueueDepth]]:
        """Count the messages of queues."""

        def depth(connection: sqlite3.Connection) -> list[QueueDepth]:
            rows = connection.execute(_SQL["depth"]).fetchall()
            return [_depth(connection, row) for row in rows if queues is None or row[0] in queues]

        return self.driver.read(depth)

    def pause(self, queue: str, paused: bool) -> Step[None]:
        """Stop or resume deliveries of a queue."""

        def pause(connection: sqlite3.Connection) -> None:
            connection.execute(_SQL["pause"], {"name": queue, "paused": paused})

        return self.driver.write(pause, MESSAGES)

    def purge(self, queue: str, limit: int = 1000) -> Step[list[str]]:
        """Remove at most `limit` waiting messages."""

        def purge(connection: sqlite3.Connection) -> list[str]:
            gone = _column(connection, "purge_ready", {"queue": queue, "limit": limit})
            return gone + _column(connection, "purge_delayed", {"queue": queue, "limit": limit - len(gone)})

        return self.driver.write(purge)

    def ping(self) -> Step[None]:
        """Answer if the file can be written: a write transaction that writes nothing lasting."""
        return self.driver.write(_ping)


class SQLiteConsumer(ClaimingConsumer):
    """Claims under one lease."""

    def __init__(self, driver: SQLite, queues: Sequence[str], lease: str) -> None:
        super().__init__(queues, lambda: driver.listen(MESSAGES), driver.clock)
        self._driver = driver
        self._lease = lease

    def claim(self, queues: Sequence[str], limit: int) -> Step[Claim]:
        """Promote what is due, then claim from the front of the queues."""

        def claim(connection: sqlite3.Connection) -> Claim:
            now = self._driver.clock()
            paused = {name for (name,) in connection.execute(_SQL["paused"])}
            active = [queue for queue in queues if queue not in paused]
            for queue in active:
                connection.execute(_SQL["promote"], {"queue": queue, "now": now, "limit": _PROMOTE})
            deliveries, last = _batch(connection, active, limit)
            due = _next_due(connection, active) if last else None
            if not deliveries:
                return Claim([], due)
            connection.execute(_SQL["claim"], {"ids": _ids(deliveries), "lease": self._lease})
            if self._driver.look is not None:
                standings = self._driver.look(connection, [delivery.message.task_id for delivery in deliveries])
                for delivery, standing in zip(deliveries, standings, strict=True):
                    delivery.standing = standing
            # Where no more is left, none is looked for: the task that begins now may take the interpreter's lock, and
            # a transaction that waits for that keeps everybody from writing.
            return Claim(deliveries, due, last)

        return self._driver.write(claim)

    def settle(self, deliveries: Sequence[Delivery]) -> Step[None]:
        """Forget messages that are done."""
        given = {"ids": _ids(deliveries), "lease": self._lease}

        def settle(connection: sqlite3.Connection) -> None:
            connection.execute(_SQL["settle"], given)

        return self._driver.write(settle)

    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[None]:
        """Give messages back unrun."""
        given: dict[str, Any] = {"ids": _ids(deliveries), "lease": self._lease}

        def hand_back(connection: sqlite3.Connection) -> None:
            due = self._driver.clock() + delay if delay > 0 else None
            connection.execute(_SQL["hand_back"], {**given, "due": due})

        return self._driver.write(hand_back, MESSAGES)


def _batch(connection: sqlite3.Connection, queues: Sequence[str], limit: int) -> tuple[list[Delivery], bool]:
    """The messages to claim, in the order of delivery: at most `limit`, and BATCH_BYTES unless it is a single one.

    And whether these are all.
    """
    found: list[Delivery] = []
    size = 0
    with ExitStack() as cursors:
        walks = [cursors.enter_context(closing(connection.execute(_SQL["ready"], (queue,)))) for queue in queues]
        for id_, _step, queue, priority, redelivered, head, body in islice(_in_turn(walks), limit):
            size += len(head) + len(body)
            if found and size > BATCH_BYTES:
                return found, False
            message = message_of(head, body, queue)
            message.priority, message.due = priority, None
            found.append(Delivery(message, id_, bool(redelivered)))
    return found, len(found) < limit


def _in_turn(walks: Sequence[Iterator[Any]]) -> Iterator[Any]:
    """Rows of several queues: the highest step first, queues of one step in turn. Each walk is ordered by step."""
    if len(walks) == 1:
        yield from walks[0]
        return
    heads = [(row, walk) for walk in walks if (row := next(walk, None))]
    while heads:
        top = max(row[1] for row, _ in heads)
        following = []
        for row, walk in heads:
            if row[1] < top:
                following.append((row, walk))
                continue
            yield row
            if after := next(walk, None):
                following.append((after, walk))
        heads = following


def _next_due(connection: sqlite3.Connection, queues: Sequence[str]) -> float | None:
    found = (connection.execute(_SQL["next_due"], (queue,)).fetchone()[0] for queue in queues)
    return min((due for due in found if due is not None), default=None)


def _row(message: Message, head: bytes, now: float) -> tuple[Any, ...]:
    """Without None and bytes: sqlite3 looks for adapters of each of them, which takes longer than to bind it."""
    due = message.due if message.due is not None and message.due > now else 0
    step = priority_step(message.priority)
    return (
        int(now * MICROSECONDS),
        message.queue,
        step,
        message.priority,
        due,
        message.task_id,
        bytearray(head),
        bytearray(message.body),
    )


def _ids(deliveries: Sequence[Delivery]) -> str:
    return f"[{','.join([str(delivery.tag) for delivery in deliveries])}]"


def _column(connection: sqlite3.Connection, name: str, given: dict[str, Any]) -> list[str]:
    return [value for (value,) in connection.execute(_SQL[name], given)]


def _depth(connection: sqlite3.Connection, row: tuple[str, int, int, int, int]) -> QueueDepth:
    name, ready, delayed, claimed, paused = row
    (oldest,) = connection.execute(_SQL["oldest"], (name,)).fetchone()
    return QueueDepth(name, ready, delayed, claimed, bool(paused), oldest and oldest / MICROSECONDS)


def _ping(connection: sqlite3.Connection) -> None:
    """Nothing: that a write transaction can begin and end is the answer."""


#: the broker in the file that `url` names
open_broker: Final = Opener(SQLite, open_driver, lambda driver, _: SQLiteBroker(driver))
