"""What work costs, in transactions, statements and hand-overs per 1,000 tasks, stays below tests/ceilings.toml."""

from __future__ import annotations

import asyncio
import sys
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from penstock.brokers.sqlite import SQLiteBroker
from penstock.core.message import Message
from penstock.core.step import commit
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite import SQLiteResults
from penstock.testing.conformance.results.samples import created, ending, lease, record

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


MEASURES = [
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
