"""A claim tells how its tasks stand, so that a worker has nothing more to ask."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from penstock.brokers.sqlite import SQLiteBroker
from penstock.core.encoding import dumps
from penstock.core.message import Standing
from penstock.core.protocol import encode_task
from penstock.core.states import PENDING, STARTED, SUCCESS
from penstock.drivers.sqlite import SQLite
from penstock.results.sqlite import SQLiteResults
from penstock.testing.conformance.results.samples import created, ending, lease, message, record, start


async def test_a_claim_tells_how_its_tasks_stand(tmp_path: Path) -> None:
    driver = SQLite(str(tmp_path / "p.db"), clock=lambda: 1000.0)
    broker, results = SQLiteBroker(driver), SQLiteResults(driver)
    own = await lease(results, 60.0)
    tasks = await created(results, *(record() for _ in range(4)))
    waiting, cancelled, done, runs = tasks
    await results.records.cancel([cancelled.task_id], "revoked")
    await results.records.finish([ending(done)], own)
    await results.records.start([start(runs)], own)
    stranger = message("stranger")
    await broker.publish([*(task.message for task in tasks), stranger])
    consumer = broker.consume(["default"], own)
    before = driver.counters.reads
    found = {each.message.task_id: each.standing for each in await consumer.fetch(100)}
    assert found == {
        waiting.task_id: Standing(PENDING, "", 0, 0, 0),
        cancelled.task_id: Standing(PENDING, "revoked", 0, 0, 0),
        done.task_id: Standing(SUCCESS, "", 0, 0, 0),
        runs.task_id: Standing(STARTED, "", 0, 0, 1, 60.0),
        "stranger": Standing(PENDING, "", 0, 0, 0),
    }
    assert driver.counters.reads <= before + 1  # the listener's look at the version of the file
    checked = await results.records.check([*found])
    assert checked == {task_id: stands for task_id, stands in found.items() if task_id != "stranger"}
    await consumer.stop()
    await driver.close()


async def test_a_file_without_records_tells_nothing_of_tasks(tmp_path: Path) -> None:
    driver = SQLite(str(tmp_path / "p.db"))
    broker = SQLiteBroker(driver)
    await broker.publish([message("a")])
    consumer = broker.consume(["default"], "lease")
    [delivery] = await consumer.fetch(1)
    assert delivery.standing is None
    await consumer.stop()
    await driver.close()


async def test_after_a_claim_that_left_nothing_only_a_wake_up_leads_to_the_next(tmp_path: Path) -> None:
    now = 1000.0
    driver = SQLite(str(tmp_path / "p.db"), clock=lambda: now)
    broker = SQLiteBroker(driver)
    later = message("later")
    later.due = 1001.0
    await broker.publish([message("a"), message("b"), message("c"), later])
    consumer = broker.consume(["default"], "lease")
    assert len(await consumer.fetch(2)) == 2  # there may be more
    assert [each.message.task_id for each in await consumer.fetch(2)] == ["c"]
    before = driver.counters.transactions
    waits = asyncio.create_task(consumer.fetch(2))
    await asyncio.sleep(0.05)
    assert driver.counters.transactions == before
    now = 1001.5
    assert [each.message.task_id for each in await waits] == ["later"]
    waits = asyncio.create_task(consumer.fetch(2))
    await asyncio.sleep(0.05)
    await broker.publish([message("d")])
    assert [each.message.task_id for each in await waits] == ["d"]
    await consumer.stop()
    await driver.close()


async def test_messages_and_records_of_an_older_version_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.db"
    driver = SQLite(str(path))
    broker, results = SQLiteBroker(driver), SQLiteResults(driver)
    sent = encode_task(task="add", task_id="id-1", args=(1, 2), kwargs={}, queue="default")
    await broker.publish([sent])
    await created(results, record(task_id="id-1", message=sent))
    await driver.close()
    with closing(sqlite3.connect(path)) as connection, connection:  # a version 1 wrote all of every head
        connection.execute("UPDATE messages SET head = ?", (dumps([sent.headers, sent.properties]),))
        connection.execute("UPDATE payloads SET head = ?", (dumps([sent.headers, sent.properties, 0, None]),))
        connection.execute("UPDATE penstock_schema SET version = 1")
    driver = SQLite(str(path))
    broker, results = SQLiteBroker(driver), SQLiteResults(driver)
    consumer = broker.consume(["default"], await lease(results, 60.0))
    assert [each.message for each in await consumer.fetch(1)] == [sent]
    assert (await results.records.get(["id-1"]))["id-1"].message == sent
    await consumer.stop()
    await driver.close()
