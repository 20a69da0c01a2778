"""What work costs, in round trips, transactions, statements, bytes and hand-overs per 1,000 tasks, stays below
tests/ceilings.toml.

A file's driver counts itself; a server's clients are counted on their way to it, by a proxy, and by the server.
"""

from __future__ import annotations

import asyncio
import sys
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from penstock.brokers.rabbitmq import consumer as rabbitmq
from penstock.brokers.sqlite import SQLiteBroker
from penstock.client.backends import Backends, connect
from penstock.core.message import Delivery, Message
from penstock.core.settings import Settings
from penstock.core.step import commit
from penstock.drivers.postgres import Postgres
from penstock.drivers.redis import Redis
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite import SQLiteResults
from penstock.testing.conformance.results.samples import created, ending, lease, record
from tests import servers
from tests.proxy import Proxy

Count = Callable[[Backends], Awaitable[dict[str, int]]]

CEILINGS: dict[str, dict[str, int]] = tomllib.loads((Path(__file__).parents[1] / "ceilings.toml").read_text())


def opened(folder: Path) -> tuple[SQLite, SQLiteBroker]:
    driver = SQLite(str(folder / "p.db"))
    return driver, SQLiteBroker(driver)


def batch(size: int = 100) -> list[Message]:
    return [Message(b"[[2, 3], {}, {}]", {"id": str(turn), "task": "add"}) for turn in range(size)]


async def measured(driver: SQLite, work: Callable[[], Awaitable[None]]) -> dict[str, int]:
    """What the driver counted while `work` was done, after an unmeasured first round of everything."""
    await driver.open()
    driver.count_statements()
    await driver.open()
    before = asdict(driver.counters)
    await work()
    after = asdict(driver.counters)
    await driver.close()
    return {name: after[name] - before[name] for name in after}


async def sqlite_broker_in_batches(folder: Path) -> dict[str, int]:
    driver, broker = opened(folder)
    taker = broker.consume(["default"], "lease")
    await broker.publish(batch(1))
    await taker.settle(await taker.fetch(1))

    async def work() -> None:
        for _ in range(10):
            await broker.publish(batch())
        for _ in range(10):
            await taker.settle(await taker.fetch(100))

    return await measured(driver, work)


async def sqlite_broker_by_many_callers(folder: Path) -> dict[str, int]:
    driver, broker = opened(folder)

    async def call() -> None:
        for _ in range(10):
            await broker.publish(batch(1))

    async def work() -> None:
        # whoever has the processor first gathers few: let the loop go on until all of a round have called
        before = sys.getswitchinterval()
        sys.setswitchinterval(5.0)
        try:
            await asyncio.gather(*(call() for _ in range(100)))
        finally:
            sys.setswitchinterval(before)

    return await measured(driver, work)


async def sqlite_broker_depth(folder: Path) -> dict[str, int]:
    driver, broker = opened(folder)
    await broker.publish(batch(1))

    async def work() -> None:
        for _ in range(1000):
            await broker.depth()

    return await measured(driver, work)


async def sqlite_results_in_batches(folder: Path) -> dict[str, int]:
    driver = SQLite(str(folder / "p.db"))
    results = SQLiteResults(driver)
    own = await lease(results)

    async def work() -> None:
        for _ in range(10):
            tasks = await created(results, *(record() for _ in range(100)))
            await results.records.finish([ending(task) for task in tasks], own)

    return await measured(driver, work)


async def sqlite_tasks_in_batches(folder: Path) -> dict[str, int]:
    driver, broker = opened(folder)
    results = SQLiteResults(driver)
    own = await lease(results)
    taker = broker.consume(["default"], own)

    async def work() -> None:
        for _ in range(10):
            tasks = [record() for _ in range(100)]
            await commit(results.records.create(tasks), broker.publish([task.message for task in tasks]))
            taken = await taker.fetch(100)
            await commit(results.records.finish([ending(each) for each in taken], own), taker.settle(taken))

    return await measured(driver, work)


async def sqlite_tasks_one_by_one(folder: Path) -> dict[str, int]:
    driver, broker = opened(folder)
    results = SQLiteResults(driver)

    async def work() -> None:
        for _ in range(1000):
            task = record()
            await commit(results.records.create([task]), broker.publish([task.message]))

    return await measured(driver, work)


# ------------------------------------------------------------------------------------------------------------ servers


async def tasks_in_batches(backends: Backends) -> None:
    """1,000 tasks, as a client submits and a worker runs them."""
    records, broker = backends.results.records, backends.broker
    own = await lease(backends.results)
    taker = broker.consume(["default"], own)
    for _ in range(10):
        tasks = [record() for _ in range(100)]
        await commit(records.create(tasks), broker.publish([task.message for task in tasks]))
        taken: list[Delivery] = []
        while len(taken) < 100:
            taken += await taker.fetch(100)
        if unknown := [each.message.task_id for each in taken if each.standing is None]:
            await records.check(unknown)
        await commit(records.finish([ending(each) for each in taken], own), taker.settle(taken))
    await taker.stop()


async def backlog(backends: Backends) -> None:
    """1,000 messages that wait, taken and settled by a worker that is quicker than they come."""
    await backends.broker.publish([message for _ in range(10) for message in batch()])
    taker = backends.broker.consume(["default"], "lease")
    taken: list[Delivery] = []
    for last in range(100, 1100, 100):
        while len(taken) < last:
            taken += await taker.fetch(100)
        await taker.settle(taken[last - 100 : last])
    await taker.stop()


async def tasks_drained(backends: Backends) -> None:
    """1,000 tasks that wait, and a worker that asks for the next ones as it writes how the last ones ended."""
    records, broker = backends.results.records, backends.broker
    own = await lease(backends.results)
    tasks = [record() for _ in range(1000)]
    await commit(records.create(tasks), broker.publish([task.message for task in tasks]))
    taker = broker.consume(["default"], own)
    taken = await taker.fetch(100)
    for _ in range(9):
        ending_them = commit(records.finish([ending(each) for each in taken], own), taker.settle(taken))
        _, taken = await asyncio.gather(ending_them, taker.fetch(100))
    await commit(records.finish([ending(each) for each in taken], own), taker.settle(taken))
    await taker.stop()


async def tasks_one_by_one(backends: Backends) -> None:
    """100 tasks, submitted one after the other."""
    for _ in range(100):
        task = record()
        await commit(backends.results.records.create([task]), backends.broker.publish([task.message]))


async def through(
    work: Callable[[Backends], Awaitable[None]], broker: str, results: str = "", count: Count | None = None
) -> dict[str, int]:
    """What passed on the way to the broker's server while `work` was done; `count` is asked how often it did what."""
    with Proxy(broker) as proxy:
        backends = connect(Settings(broker_url=proxy.url, result_backend=results or proxy.url))
        async with backends:
            first = record(queue="other")  # connections, queues and the script of a submission are there then
            await commit(backends.results.records.create([first]), backends.broker.publish([first.message]))
            asked = await count(backends) if count else {}
            before = proxy.turns, proxy.sent, proxy.got
            await work(backends)
            found = [after - then for after, then in zip((proxy.turns, proxy.sent, proxy.got), before, strict=True)]
            answers = await count(backends) if count else {}
    counted = {name: number - asked.get(name, 0) for name, number in answers.items()}
    return dict(zip(("round_trips", "bytes_sent", "bytes_got"), found, strict=True)) | counted


async def by_redis(backends: Backends) -> dict[str, int]:
    driver = backends.results.driver
    assert isinstance(driver, Redis)
    [text] = await driver.ask([("INFO", "commandstats")])
    lines = [line for line in text.decode().splitlines() if line.startswith("cmdstat_")]
    calls = {line.partition(":")[0]: int(line.partition("calls=")[2].partition(",")[0]) for line in lines}
    scripts = calls.get("cmdstat_evalsha", 0)
    return {"scripts": scripts, "commands": sum(calls.values()) - scripts}


async def by_postgres(backends: Backends) -> dict[str, int]:
    driver = backends.results.driver
    assert isinstance(driver, Postgres)
    return {"transactions": driver.counters.transactions, "reads": driver.counters.reads}


async def redis_tasks_in_batches(_: Path) -> dict[str, int]:
    with servers.Redis() as server:
        return await through(tasks_in_batches, server.url, count=by_redis)


async def redis_tasks_one_by_one(_: Path) -> dict[str, int]:
    with servers.Redis() as server:
        return await through(tasks_one_by_one, server.url, count=by_redis)


async def postgres_tasks_in_batches(_: Path) -> dict[str, int]:
    return await through(tasks_in_batches, servers.postgres().fresh(), count=by_postgres)


async def postgres_tasks_drained(_: Path) -> dict[str, int]:
    return await through(tasks_drained, servers.postgres().fresh(), count=by_postgres)


async def postgres_tasks_one_by_one(_: Path) -> dict[str, int]:
    return await through(tasks_one_by_one, servers.postgres().fresh(), count=by_postgres)


async def rabbitmq_tasks_in_batches(_: Path) -> dict[str, int]:
    return await through(tasks_in_batches, servers.rabbitmq().fresh(), servers.redis().fresh())


async def rabbitmq_backlog(_: Path) -> dict[str, int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rabbitmq, "_SOON", 60.0)  # the server sends ahead, however slow this machine is
        return await through(backlog, servers.rabbitmq().fresh(), servers.redis().fresh())


async def rabbitmq_tasks_one_by_one(_: Path) -> dict[str, int]:
    return await through(tasks_one_by_one, servers.rabbitmq().fresh(), servers.redis().fresh())


MEASURES = [
    redis_tasks_in_batches,
    redis_tasks_one_by_one,
    postgres_tasks_in_batches,
    postgres_tasks_drained,
    postgres_tasks_one_by_one,
    rabbitmq_tasks_in_batches,
    rabbitmq_backlog,
    rabbitmq_tasks_one_by_one,
    sqlite_broker_in_batches,
    sqlite_broker_by_many_callers,
    sqlite_broker_depth,
    sqlite_results_in_batches,
    sqlite_tasks_in_batches,
    sqlite_tasks_one_by_one,
]


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.__name__)
async def test_work_stays_below_its_ceiling(
    measure: Callable[[Path], Awaitable[dict[str, int]]], tmp_path: Path
) -> None:
    found = await measure(tmp_path)
    for name, ceiling in CEILINGS[measure.__name__].items():
        assert found[name] <= ceiling, f"{name} of {measure.__name__}"
        assert found[name] >= ceiling // 4, f"the ceiling for {name} of {measure.__name__} is too high to see anything"


def test_every_ceiling_is_measured() -> None:
    assert {measure.__name__ for measure in MEASURES} == set(CEILINGS)
