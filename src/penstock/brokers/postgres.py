"""Messages in PostgreSQL. The statements are in sql/postgres.sql; the driver runs them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final

from penstock.core.broker import Broker, Consumer, Declaration, QueueDepth, Withdrawal
from penstock.core.consumer import BATCH_BYTES, Claim, ClaimingConsumer
from penstock.core.encoding import dumps
from penstock.core.errors import MessageTooLarge
from penstock.core.head import head_of, message_of
from penstock.core.message import Delivery, Message, Standing, priority_step
from penstock.core.opening import Opener
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Part, Postgres, Session, Statement, columns, open_driver

_SQL: Final = sqlfile.load("penstock.brokers", "sql/postgres.sql")
#: the topic that wakes consumers
MESSAGES: Final = "messages"
#: the columns that are published
_NAMES: Final = ("queue", "step", "priority", "due", "task_id", "head", "body")
_NOTHING: Final = (None,) * len(_NAMES)
#: PostgreSQL's own limit on a message of its protocol (1 GiB), less what the row needs besides
_LARGEST: Final = (1 << 30) - (1 << 20)
#: seconds after which to look again at messages that somebody else is claiming at this moment
_AGAIN: Final = 0.02

Rows = Sequence[Sequence[Any]]


class PostgresBroker(Broker):
    """Messages in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self.driver: Postgres = driver
        self._sql = driver.statements(_SQL)
        # Should the transaction be undone after all, a claim puts the queue there, and until then its messages show it.
        self._met: set[str] = set()  #: queues that were published to, and so are known

    def publish(self, messages: Sequence[Message]) -> Step[None]:
        """Put messages into their queues."""
        for message in messages:
            if len(message.body) > _LARGEST:
                raise MessageTooLarge(len(message.body), _LARGEST)
        rows = [_row(message) for message in messages]

        async def published(_session: Session, _rows: Rows) -> None:
            self._met.update(row[0] for row in rows)

        if len(rows) == 1 and rows[0][0] in self._met:
            statement, given = Statement("publish", self._sql["publish_one"]), rows[0]
        else:
            statement, given = Statement("publish", self._sql["publish"]), tuple(columns(rows or [_NOTHING]))
        return Part(
            self.driver,
            statement,
            (self.driver.now, *given),
            published,
            wakes=MESSAGES,
            plain=lambda: self._plain(rows),
        )

    def _plain(self, values: Sequence[Sequence[Any]]) -> str:
        """The same for connections of others: a function of the database, given JSON."""
        rows = [dict(zip(_NAMES, each, strict=True)) for each in values]
        for row in rows:
            row["head"], row["body"] = row["head"].hex(), row["body"].hex()
        return self._sql["enlist"].format(dumps(rows, where="messages").hex())

    def declare(self, declarations: Sequence[Declaration]) -> Step[None]:
        """Have queues before their first messages."""
        queues = [each.plain() for each in declarations]

        async def declare(session: Session) -> None:
            await session.count(self._sql["declare"], queues)

        return self.driver.single(declare)

    def consume(self, queues: Sequence[str], lease: str) -> Consumer:
        """Make a consumer of `queues`; every claim names `lease`."""
        return PostgresConsumer(self.driver, self._sql, queues, lease)

    def release(self, leases: Sequence[str]) -> Step[list[str]]:
        """Make what is claimed under dead leases deliverable again."""
        given = list(leases)
        return self.driver.single(lambda session: session.column(self._sql["release"], given), MESSAGES)

    def holders(self) -> Step[list[str]]:
        """The leases that messages are claimed under."""
        return self.driver.read(lambda session: session.column(self._sql["holders"]))

    def withdraw(self, task_id: str) -> Step[Withdrawal]:
        """Remove the waiting messages of a task."""

        async def withdraw(session: Session) -> Withdrawal:
            return Withdrawal(*await session.row(self._sql["withdraw"], task_id))

        return self.driver.single(withdraw)

    def depth(self, queues: Sequence[str] | None = None) -> Step[list[QueueDepth]]:
        """Count the messages of queues."""
        given = None if queues is None else list(queues)

        async def depth(session: Session) -> list[QueueDepth]:
            return [QueueDepth(*row) for row in await session.rows(self._sql["depth"], given)]

        return self.driver.read(depth)

    def pause(self, queue: str, paused: bool) -> Step[None]:
        """Stop or resume deliveries of a queue."""

        async def pause(session: Session) -> None:
            await session.count(self._sql["pause"], queue, paused)

        return self.driver.single(pause, MESSAGES)

    def purge(self, queue: str, limit: int = 1000) -> Step[list[str]]:
        """Remove at most `limit` waiting messages."""

        async def purge(session: Session) -> list[str]:
            gone = await session.column(self._sql["purge_ready"], queue, limit)
            return gone + await session.column(self._sql["purge_delayed"], queue, limit - len(gone))

        return self.driver.write(purge)

    def ping(self) -> Step[None]:
        """Answer if the database can be written."""

        async def ping(session: Session) -> None:
            await session.value(self._sql["ping"])

        return self.driver.single(ping)


class PostgresConsumer(ClaimingConsumer):
    """Claims under one lease."""

    def __init__(self, driver: Postgres, sql: dict[str, str], queues: Sequence[str], lease: str) -> None:
        super().__init__(queues, lambda: driver.listen(MESSAGES, dozes=True), driver.clock)
        self._driver = driver
        self._sql = sql
        self._lease = lease
        self._held: set[int] = set()  #: to tell what was claimed by a call whose answer got lost

    async def recovered(self) -> list[Delivery]:
        """What was claimed by a call whose answer got lost."""
        given = (self._lease, list(self._held))

        async def claimed(session: Session) -> list[Delivery]:
            return [_delivery(row) for row in await session.rows(self._sql["claimed"], *given)]

        return self._told(await self._driver.read(claimed))

    def _told(self, deliveries: list[Delivery]) -> list[Delivery]:
        self._held.update(delivery.tag for delivery in deliveries)
        return deliveries

    async def _fetch(self, limit: int) -> list[Delivery]:
        return self._told(await super()._fetch(limit))

    def claim(self, queues: Sequence[str], limit: int) -> Step[Claim]:
        """Claim from the front of the queues, after what is due was made ready."""
        names, again = list(queues), (self._lease, list(queues), limit, BATCH_BYTES, False, self._driver.look)

        async def claimed(session: Session, rows: Rows) -> Claim:
            if rows and not rows[0][0]:
                rows = await session.rows(self._sql["claim"], session.now, *again)
            if not rows:
                return Claim([], await self._outlook(session, names))
            return Claim([_claimed(row) for row in sorted(rows, key=itemgetter(0))])

        given = (self._driver.now, self._lease, names, limit, BATCH_BYTES, True, self._driver.look)
        return Part(self._driver, Statement("claim", self._sql["claim"]), given, claimed)

    def settle(self, deliveries: Sequence[Delivery]) -> Step[None]:
        """Forget messages that are done."""
        ids = [delivery.tag for delivery in deliveries]

        async def settled(_session: Session, _rows: Rows) -> None:
            self._held.difference_update(ids)

        return Part(self._driver, Statement("settle", self._sql["settle"]), (ids, self._lease), settled)

    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[None]:
        """Give messages back unrun."""
        ids = [delivery.tag for delivery in deliveries]

        async def hand_back(session: Session) -> None:
            await session.count(self._sql["hand_back"], session.now, ids, self._lease, delay)
            self._held.difference_update(ids)

        return self._driver.single(hand_back, MESSAGES)

    async def _outlook(self, session: Session, queues: list[str]) -> float | None:
        """When to look again, by the consumer's clock; None if nothing is to come."""
        held, due = await session.row(self._sql["outlook"], queues)
        if held:  # by somebody whose transaction may yet be undone
            return self._driver.clock() + _AGAIN
        return due if due is None else float(due)


def _row(message: Message) -> tuple[Any, ...]:
    return (
        message.queue,
        priority_step(message.priority),
        message.priority,
        message.due,
        message.task_id or None,
        head_of(message),
        message.body,
    )


def _delivery(row: Sequence[Any]) -> Delivery:
    message = message_of(row[4], row[5], row[1])
    message.priority, message.due = row[2], None
    return Delivery(message, row[0], row[3])


def _claimed(row: Sequence[Any]) -> Delivery:
    delivery = _delivery(row[1:7])
    if row[7] is not None:
        delivery.standing = Standing(*row[7:])
    return delivery


#: the broker in the schema that `url` names
open_broker: Final = Opener(Postgres, open_driver, lambda driver, _: PostgresBroker(driver))
