"""A PostgreSQL schema filled to a size, and what each question then costs: buffers touched, and milliseconds.

`fill` makes waiting and finished tasks inside the server; `costs` asks as the back ends do, with the plans they get,
and counts the pages that are touched.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from typing import Any

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.record import Filter
from penstock.core.step import Step
from penstock.drivers.postgres import Postgres, Session
from tests.servers import Postgres as Server

#: waiting and finished tasks as submissions leave them: bodies and heads of the usual length
_FILL = {
    "newest": "SELECT coalesce(max(seq), 0) FROM penstock.records",
    "records": """
INSERT INTO penstock.records (task_id, task, state, queue, created_at, started_at, finished_at, worker, pid, result)
SELECT CASE state WHEN 'SUCCESS' THEN '01930000' ELSE '01940000' END || '-0000-7000-8000-' || lpad(n::text, 12, '0'),
    'add', state, 'default', 1000000 + n,
    CASE WHEN state = 'SUCCESS' THEN 1000000 + n END, CASE WHEN state = 'SUCCESS' THEN 1000001 + n END, '', 0, '3'
FROM (SELECT $1::text AS state, n FROM generate_series($2::bigint, $3::bigint) AS n) AS given""",
    "payloads": """
INSERT INTO penstock.payloads
SELECT seq, convert_to('[{}, {}, 0, null]' || repeat(' ', 280), 'UTF8'), decode(repeat('62', 100), 'hex'), 10, ''
FROM penstock.records WHERE seq > $1""",
    "messages": """
INSERT INTO penstock.messages (queue, step, priority, published, task_id, head, body)
SELECT 'default', 0, 0, 1000000 + n, '01940000-0000-7000-8000-' || lpad(n::text, 12, '0'),
    convert_to('[{}, {}]' || repeat(' ', 280), 'UTF8'), decode(repeat('62', 100), 'hex')
FROM generate_series(1, $1::bigint) AS n""",
}
#: of this connection's database; the tests use one at a time
_TOUCHED = """
SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint FROM pg_stat_statements
WHERE toplevel AND query !~ 'pg_stat_statements'"""
_TABLES = ("records", "payloads", "messages", "tally", "feed", "feed_order")
PORTION = 200_000


def ended(number: int) -> str:
    """The id of a finished task, as long as those that are made, and in the order of coming as they are."""
    return f"01930000-0000-7000-8000-{number:012}"


async def fill(backends: Backends, waiting: int, finished: int, told: Callable[[str], None] = lambda _: None) -> None:
    """Put so many tasks there, as if they had come and been run one after the other, and let the server clean up."""
    driver = backends.broker.driver
    assert isinstance(driver, Postgres)
    connection = await driver.links.connect()
    sql = driver.statements(_FILL)
    schema = driver.address.schema
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        before = await connection.fetchval(sql["newest"])
        for state, count in (("SUCCESS", finished), ("PENDING", waiting)):
            for first in range(1, count + 1, PORTION):
                await connection.execute(sql["records"], state, first, min(first + PORTION - 1, count))
                told(f"{min(first + PORTION - 1, count):,} of {count:,} {state}")
        await connection.execute(sql["payloads"], before)
        await connection.execute(sql["messages"], waiting)
        for table in _TABLES:
            await connection.execute(f"VACUUM (ANALYZE) {schema}.{table}")
    finally:
        await connection.close()


async def costs(app: Penstock, backends: Backends) -> dict[str, tuple[int, float]]:
    """Buffers that each question touches, and how long it takes: the median of several times, milliseconds."""
    driver, records = backends.broker.driver, backends.results.records
    assert isinstance(driver, Postgres)
    made = [app.prepare("add", (1, turn), check=False) for turn in range(100)]
    consumer: Any = backends.broker.consume(["default"], "lease")
    questions: Mapping[str, tuple[Step[Any], ...]] = {
        "claim 100": (consumer.claim(["default"], 100),),
        "claim 1": (consumer.claim(["default"], 1),),
        "submit 100": (records.create([e.record for e in made]), backends.broker.publish([e.message for e in made])),
        "get 1": (records.get([ended(777)]),),
        "check 100": (records.check([ended(n) for n in range(1, 101)]),),
        "page of all": (records.page(Filter(), 50),),
        "page of PENDING": (records.page(Filter(states=("PENDING",)), 50),),
        "page of SUCCESS": (records.page(Filter(states=("SUCCESS",)), 50),),
        "page of FAILURE": (records.page(Filter(states=("FAILURE",)), 50),),
        "page of ended": (records.page(Filter(states=("SUCCESS", "FAILURE", "REVOKED")), 50),),
        "page of a task": (records.page(Filter(tasks=("add",)), 50),),
        "page of the dead": (backends.results.dead.page(),),
        "queues": (backends.broker.depth(),),
        "the feed's newest": (records.changes(None),),
    }
    found = {}
    for name, steps in questions.items():
        found[name] = (await touched(driver, steps), await medians(driver, steps))
    return found


async def medians(driver: Postgres, steps: tuple[Step[Any], ...]) -> float:
    """How long steps take; nothing of them stays."""
    connection = await driver.links.connect()
    taken = []
    try:
        for _ in range(41):
            outer = connection.transaction()
            await outer.start()
            began = time.perf_counter()
            for step in steps:
                work: Callable[[Session], Awaitable[Any]] = step.work
                await work(Session(connection))
            taken.append(time.perf_counter() - began)
            await outer.rollback()
    finally:
        await connection.close()
    return median(taken) * 1000


async def touched(driver: Postgres, steps: tuple[Step[Any], ...]) -> int:
    """The buffers that steps touch, by the plans that they are really run with; nothing of them stays."""
    connection = await driver.links.connect()
    found = 0
    try:
        for _ in range(2):  # so that plans are made and hints are set
            await connection.execute("SELECT pg_stat_statements_reset()")
            outer = connection.transaction()
            await outer.start()
            for step in steps:
                work: Callable[[Session], Awaitable[Any]] = step.work
                await work(Session(connection))
            await outer.rollback()
            found = await connection.fetchval(_TOUCHED)
    finally:
        await connection.close()
    return int(found)


async def spent(backends: Backends, work: Awaitable[Any]) -> tuple[int, Any]:
    """The buffers that some work touches on the connections that are there, with the plans they have; its answer."""
    driver = backends.broker.driver
    assert isinstance(driver, Postgres)
    connection = await driver.links.connect()
    try:
        await connection.execute("SELECT pg_stat_statements_reset()")
        answer = await work
        return int(await connection.fetchval(_TOUCHED)), answer
    finally:
        await connection.close()


async def cleaned(backends: Backends) -> dict[str, tuple[int, int]]:
    """What each table takes on the disk, and its indexes (bytes), once what is dead was cleaned away."""
    driver = backends.broker.driver
    assert isinstance(driver, Postgres)
    connection = await driver.links.connect()
    try:
        found = {}
        for table in _TABLES:
            name = f"{driver.address.schema}.{table}"
            await connection.execute(f"VACUUM (ANALYZE) {name}")
            ask = "SELECT pg_table_size($1::text::regclass), pg_indexes_size($1::text::regclass)"
            found[table] = tuple(await connection.fetchrow(ask, name))
        return found
    finally:
        await connection.close()


async def forgotten(backends: Backends) -> int:
    """Delete all that has finished, clean up and sweep as servers and workers do by turns; how many there were."""
    total = 0
    while gone := await backends.results.records.prune(1.0, 1_000_000_000, limit=1000):
        total += gone
    for _ in range(3):
        await cleaned(backends)
        while await backends.results.keys.sweep() >= 10_000:
            pass
    return total


def statistics(**settings: str) -> Server:
    """A server that counts what statements touch, and cleans up only when it is told to."""
    return Server(
        **{
            "shared_preload_libraries": "pg_stat_statements",
            "shared_buffers": "512MB",
            "max_wal_size": "8GB",
            "autovacuum": "off",
            **settings,
        }
    )
