"""How many messages wait is added up, not counted: the sum is exact in every snapshot, whoever writes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from penstock.brokers.postgres import PostgresBroker, open_broker
from penstock.client import operations
from penstock.core.broker import Broker
from penstock.drivers.postgres import Postgres
from penstock.drivers.postgres.schema import load
from penstock.testing.conformance.broker.samples import consumer, depth, fetch, gather, task, tasks
from tests.integration.field import Field
from tests.servers import Postgres as Server

#: the migration before messages were added up
OLDER = 5
#: one snapshot: what is added up, and what there is, of every queue where they differ
_WRONG = """
SELECT queue, sum(messages)::int, sum(delayed)::int, sum(there)::int, sum(later)::int FROM (
    SELECT queue, messages, delayed, 0 AS there, 0 AS later FROM penstock.tally
    UNION ALL SELECT queue, 0, 0, 1, (due IS NOT NULL)::int FROM penstock.messages
) AS parts GROUP BY queue HAVING sum(messages) <> sum(there) OR sum(delayed) <> sum(later)"""

_ADD = (
    "INSERT INTO penstock.messages (queue, step, priority, published, head, body) VALUES ('default', 0, 0, 0, '', '')"
)


class Books:
    """The tally of one schema, as an auditor sees it."""

    def __init__(self, driver: Postgres, connection: Any) -> None:
        self.driver = driver
        self.connection = connection

    async def wrong(self) -> list[tuple[Any, ...]]:
        """Queues whose sums are not what there is."""
        return [tuple(row) for row in await self.connection.fetch(self._named(_WRONG))]

    async def entries(self) -> int:
        """Rows that have to be added up."""
        return int(await self.connection.fetchval(self._named("SELECT count(*) FROM penstock.tally")))

    async def do(self, statement: str) -> None:
        await self.connection.execute(self._named(statement))

    def _named(self, text: str) -> str:
        return self.driver.statements({"": text})[""]


@asynccontextmanager
async def books(broker: Broker) -> AsyncIterator[Books]:
    assert isinstance(broker, PostgresBroker)
    connection = await broker.driver.links.connect()
    try:
        yield Books(broker.driver, connection)
    finally:
        await connection.close()


@asynccontextmanager
async def opened(url: str, known: int | None = None) -> AsyncIterator[PostgresBroker]:
    """A broker that knows so many migrations; all of them by default."""
    broker = open_broker(url)
    assert isinstance(broker, PostgresBroker)
    migrations = load()[:known]
    if known is not None:  # the older program is played by this one, which asks for this function
        migrations = (*migrations[:-1], replace(migrations[-1], text=migrations[-1].text + load()[6].text))
    broker.driver._migrations = migrations
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


async def counts(broker: Broker) -> tuple[int, int | None, int | None]:
    found = await depth(broker)
    return found.ready, found.delayed, found.claimed


async def test_every_way_of_a_message_is_counted(postgres_server: Server) -> None:
    async with opened(postgres_server.fresh()) as broker, books(broker) as audit, consumer(broker) as taker:
        soon = time.time() + 0.3
        await broker.publish([*tasks("1 2 3 4 5 6"), task("7", due=soon), *tasks("8 9", due=time.time() + 3600)])
        assert await counts(broker) == (6, 3, 0)
        first, second, *_ = await fetch(taker, 5)
        assert await counts(broker) == (1, 3, 5)
        await taker.settle([first])
        await taker.hand_back([second], delay=3600)
        assert await counts(broker) == (1, 4, 3)
        await asyncio.sleep(soon - time.time())
        assert len(await gather(taker, 2)) == 2  # what came due, too
        assert await counts(broker) == (0, 3, 5)
        await broker.release(["lease"])
        assert await counts(broker) == (5, 3, 0)
        assert (await broker.withdraw("8")).removed == (await broker.withdraw("3")).removed == 1
        assert await counts(broker) == (4, 2, 0)
        assert await audit.wrong() == []
        assert len(await broker.purge("default")) == 6
        assert await counts(broker) == (0, 0, 0)
        assert await audit.wrong() == []


async def test_queues_that_only_messages_name_are_there_as_long_as_those_are(postgres_server: Server) -> None:
    async with opened(postgres_server.fresh()) as broker, books(broker) as audit:
        await audit.do(_ADD.replace("default", "new"))
        assert [(found.name, found.ready) for found in await broker.depth()] == [("new", 1)]
        await audit.do("DELETE FROM penstock.messages")
        assert await broker.depth() == []


@pytest.mark.parametrize("isolation", list(psycopg.IsolationLevel))
async def test_a_transaction_of_the_user_counts_when_it_is_committed(
    postgres_server: Server, isolation: psycopg.IsolationLevel
) -> None:
    url = postgres_server.fresh()
    async with opened(url) as broker, books(broker) as audit:
        async with await psycopg.AsyncConnection.connect(url.partition("?")[0]) as user:
            await user.set_isolation_level(isolation)
            await broker.publish(tasks("1"))
            await user.execute("SELECT 1")  # its snapshot is taken, where it has but one
            await broker.publish(tasks("2"))
            await audit.do("SELECT penstock.fold_tally()")
            for _ in range(2):
                await _enlisted(broker, user)
                async with user.transaction(force_rollback=True):
                    await _enlisted(broker, user)
                await user.execute(f"SELECT {broker.driver.address.schema}.fold_tally()")  # as any write may
                assert await counts(broker) == (2, 0, 0)
                assert await audit.wrong() == []
            await user.rollback()
            assert await counts(broker) == (2, 0, 0)
            await _enlisted(broker, user)
            await user.commit()
        assert await counts(broker) == (3, 0, 0)
        assert await audit.wrong() == []


async def _enlisted(broker: PostgresBroker, user: Any) -> None:
    waiting = broker.driver.enlist([broker.publish([task()])], user)
    assert waiting is not None
    await waiting


async def test_what_is_added_up_stays_little_by_itself(postgres_server: Server) -> None:
    """One row a statement; one in 500 statements folds them: 6,000 without it are as likely as a wrong disk."""
    async with opened(postgres_server.fresh()) as broker, books(broker) as audit:
        await audit.do(f"DO $$ BEGIN FOR turn IN 1..20000 LOOP {_ADD}; END LOOP; END $$")
        assert await counts(broker) == (20_000, 0, 0)
        assert await audit.entries() < 6_000
        await audit.do("SELECT penstock.fold_tally()")
        assert await audit.entries() == 1
        await audit.do("DELETE FROM penstock.messages")
        await audit.do("SELECT penstock.fold_tally()")
        assert await audit.entries() == 0


async def test_many_who_write_and_fold_at_once_count_each_message_once(postgres_server: Server) -> None:
    url = postgres_server.fresh()
    async with opened(url) as one, opened(url) as two, opened(url) as three, books(one) as audit:
        done = asyncio.Event()

        async def fold(mine: Broker) -> None:
            async with books(mine) as folding:
                while not done.is_set():
                    await folding.do("SELECT penstock.fold_tally()")

        async def look() -> None:
            while not done.is_set():
                assert await audit.wrong() == []

        async with asyncio.TaskGroup() as group:
            for around in (fold(one), fold(two), fold(three), look()):
                group.create_task(around)
            await asyncio.gather(*(_busy(each, f"lease-{n}") for n, each in enumerate((one, two, three) * 2)))
            done.set()
        assert await audit.wrong() == []
        assert (await depth(one)).claimed == 6  # one of each
        await one.release([f"lease-{number}" for number in range(6)])
        while len(await one.purge("default")) == 1000:
            pass
        assert await counts(one) == (0, 0, 0)
        assert await audit.wrong() == []


async def _busy(broker: Broker, lease: str) -> None:
    """Sixty turns, each of which takes one message of those that it adds; the last one is kept."""
    async with consumer(broker, lease=lease) as taker:
        for turn in range(60):
            await broker.publish([task(), task(due=time.time() + (0.01 if turn % 2 else 3600))])
            held = await fetch(taker, 1)
            if turn % 3 == 0:
                await taker.hand_back(held, delay=0.01)
            elif turn < 59:
                await taker.settle(held)


def test_a_worker_and_its_keeper_keep_the_books_right(postgres_server: Server, tmp_path: Path) -> None:
    field = Field(tmp_path, postgres_server.fresh())
    stop = threading.Event()
    wrong: list[Any] = []
    watching = threading.Thread(target=lambda: field.ask(lambda backends: _watched(backends.broker, stop, wrong)))
    field.send("add", 1, 1, countdown=3600)
    with field.worker(processes=2):
        watching.start()
        sent = [field.send("add", 1, number) for number in range(50)]
        sent += field.send_many("add", 1000, 1, 1)
        sent += [field.send("flaky", 2) for _ in range(10)]  # retried
        sent += [field.send("add", 1, 1, countdown=0.5) for _ in range(10)]
        sent += [field.send("ends_with", what) for what in ("reject", "exit")]  # dead letters
        field.ended(*sent)
        expired = field.send("add", 1, 1, countdown=30, expires=0.2)
        field.ended(expired)  # by the keeper's sweep
        withdrawn = field.send("add", 1, 1, countdown=3600)
        field.ask(lambda backends: operations.cancel(backends, withdrawn))
        assert field.depth() == 1
        assert field.ask(lambda backends: operations.purge(backends, "default")) == 1
        assert field.depth() == 0
    stop.set()
    watching.join(60)
    assert wrong == [[]]


async def _watched(broker: Broker, stop: threading.Event, found: list[Any]) -> None:
    """Whatever is ever wrong, once."""
    async with books(broker) as audit:
        wrong: list[Any] = []
        while not stop.is_set() and not wrong:
            wrong = await audit.wrong()
        found.append(wrong)


class TestUpgrade:
    async def test_what_was_there_before_is_counted(self, postgres_server: Server) -> None:
        url = postgres_server.fresh()
        async with opened(url, OLDER) as old, consumer(old) as taker:
            await old.publish([*tasks("1 2 3 4"), *tasks("5 6", due=time.time() + 3600), task("7", queue="other")])
            held = await fetch(taker, 2)
            async with opened(url) as new, books(new) as audit:
                assert await counts(new) == (2, 2, 2)
                assert (await depth(new, "other")).ready == 1
                await taker.settle(held[:1])  # of the older version
                await taker.hand_back(held[1:], delay=3600)
                await old.publish(tasks("8"))
                assert await counts(new) == (3, 3, 0)
                assert await audit.wrong() == []

    async def test_older_versions_that_write_all_the_while_are_counted(self, postgres_server: Server) -> None:
        url = postgres_server.fresh()
        async with opened(url, OLDER) as one, opened(url, OLDER) as two:
            await one.publish(tasks("first"))
            async with asyncio.TaskGroup() as group:
                busy = [group.create_task(_busy(each, f"lease-{n}")) for n, each in enumerate((one, two) * 3)]
                while (await _there(one)) < 60:  # they are at it
                    pass
                assert not any(each.done() for each in busy)
                async with opened(url) as new, books(new) as audit:
                    assert not all(each.done() for each in busy)
                    while not all(each.done() for each in busy):
                        assert await audit.wrong() == []
                    assert await audit.wrong() == []
                    assert (await depth(new)).claimed == 6


async def _there(broker: PostgresBroker) -> int:
    text = broker.driver.statements({"": "SELECT count(*) FROM penstock.messages"})[""]
    return int(await broker.driver.read(lambda session: session.value(text)))
