"""The file shrinks again once retention has deleted what filled it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from penstock.core.record import Filter, LogPiece
from penstock.core.states import FAILURE, SUCCESS
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite import SQLiteResults
from penstock.testing.conformance.results.samples import NOON, created, record

DAY = 86400.0


async def test_a_file_of_an_older_version_gets_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    driver = SQLite(str(path))
    results = SQLiteResults(driver)
    await results.open()
    (task,) = await created(results, record(state=SUCCESS, finished_at=NOON))
    await driver.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("DROP TABLE logs; DROP INDEX records_undone; UPDATE penstock_schema SET version = 1;")
    driver = SQLite(str(path))
    results = SQLiteResults(driver)
    await results.open()
    piece = LogPiece(task.task_id, 1, b"[]")
    assert await results.logs.add([piece], 1000, tell=False) == []
    assert await results.logs.of_task(task.task_id) == [piece]
    assert await results.records.count(Filter(states=[FAILURE])) == 0
    assert await results.records.prune(DAY, 1_000_000) == 1
    await driver.close()


async def test_the_file_shrinks_after_retention(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    driver = SQLite(str(path))
    results = SQLiteResults(driver)
    await results.open()
    old = [record(args=["x" * 4000], state=SUCCESS, finished_at=NOON) for _ in range(2500)]
    await created(results, *old)
    await driver.close()
    full = path.stat().st_size
    await driver.open()
    while await results.records.prune(DAY, 1_000_000) == 1000:
        pass
    for _ in range(full // 4_000_000 + 1):
        await results.keys.sweep()
    await driver.close()
    assert full > 10_000_000
    assert path.stat().st_size < full // 2


async def test_the_file_does_not_shrink_for_a_little_room_that_the_next_tasks_need(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    driver = SQLite(str(path))
    results = SQLiteResults(driver)
    await results.open()
    kept = [record(args=["x" * 4000]) for _ in range(2000)]
    old = [record(args=["x" * 4000], state=SUCCESS, finished_at=NOON) for _ in range(400)]
    await created(results, *kept, *old)
    await driver.close()
    full = path.stat().st_size
    await driver.open()
    assert await results.records.prune(DAY, 1_000_000) == 400
    await results.keys.sweep()
    await driver.close()
    assert path.stat().st_size == full
