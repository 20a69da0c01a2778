"""What tasks cost a Redis server, counted: one call a batch, however many tasks are in it."""

from __future__ import annotations

from collections import Counter

from penstock.brokers.redis import open_broker
from penstock.brokers.redis.envelope import encode
from penstock.core.message import Message, Standing
from penstock.core.step import commit
from penstock.drivers.redis import Redis
from penstock.results.redis import open_results
from penstock.testing.conformance.results.samples import ending, lease, record
from tests import servers

WAITING = Standing("PENDING", "", 0, 0, 0)


async def told(driver: Redis) -> Counter[str]:
    """How often each command was called so far."""
    [text] = await driver.ask([("INFO", "commandstats")])
    lines = [line for line in text.decode().splitlines() if line.startswith("cmdstat_")]
    return Counter({
        line.partition(":")[0].removeprefix("cmdstat_"): int(line.partition("calls=")[2].partition(",")[0])
        for line in lines
    })  # fmt: skip


async def test_a_batch_is_one_call_and_each_task_is_written_to_one_index() -> None:
    with servers.Redis() as server:
        broker = open_broker(server.url)
        driver = broker.driver
        assert isinstance(driver, Redis)
        results = open_results(server.url, driver=driver)
        await broker.open()
        own = await lease(results)
        consumer = broker.consume(["default"], own)

        async def once() -> dict[str, Counter[str]]:
            tasks = [record() for _ in range(100)]
            found = {}
            at = await told(driver)
            await commit(results.records.create(tasks), broker.publish([task.message for task in tasks]))
            found["submit"] = (now := await told(driver)) - at
            deliveries = await consumer.fetch(100)
            assert {each.standing for each in deliveries} == {WAITING}  # a worker has nothing more to ask
            found["claim"] = (later := await told(driver)) - now
            endings = [ending(each) for each in deliveries]
            assert await commit(results.records.finish(endings, own), consumer.settle(deliveries)) == [
                [True] * 100,
                None,
            ]
            found["end"] = await told(driver) - later
            return found

        await once()  # the scripts are made known
        found = await once()
        await consumer.stop()
        await broker.close()
        assert {name: calls["evalsha"] for name, calls in found.items()} == {"submit": 1, "claim": 1, "end": 1}
        # an index takes a batch in one command: that of all records, and the broker's own
        assert {name: calls["zadd"] for name, calls in found.items()} == {"submit": 2, "claim": 1, "end": 1}
        assert found["claim"]["exists"] <= 4  # whether Celery has ended any of them is one question for all
        assert found["end"]["xadd"] == 1
        assert found["end"]["publish"] <= 100 + 2


async def test_a_claim_tells_how_tasks_stand_save_where_a_tag_names_another_task() -> None:
    url = servers.redis().fresh()
    broker = open_broker(url)
    driver = broker.driver
    assert isinstance(driver, Redis)
    results = open_results(url, driver=driver)
    await broker.open()
    ended, cancelled, foreign = record(), record(), record()
    await commit(results.records.create([ended, cancelled]), broker.publish([ended.message, cancelled.message]))
    await results.records.cancel([cancelled.task_id], "revoked")
    await driver.ask([
        ("SET", f"celery-task-meta-{ended.task_id}", '{"status": "SUCCESS", "result": 5}'),
        ("LPUSH", "default", encode(foreign.message, f"{ended.task_id}~{0:012x}")),
        ("LPUSH", "default", encode(Message(b"raw"), "1f4c-no-task")),
    ])  # fmt: skip
    own = await lease(results)
    consumer = broker.consume(["default"], own)
    found = [each.standing for each in await consumer.fetch(100)]
    assert found == [Standing("SUCCESS", "", 0, 0, 0), Standing("PENDING", "revoked", 0, 0, 0), None, None]
    await consumer.stop()
    await broker.close()
