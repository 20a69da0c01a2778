"""What several steps do as one statement: waking, refusal, and how the claimed tasks stand."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.client.backends import Backends, connect
from penstock.core.errors import LeaseLost, TaskIdTaken
from penstock.core.settings import Settings
from penstock.core.step import commit
from penstock.drivers.postgres import Postgres
from penstock.drivers.postgres.parts import whole
from penstock.testing.conformance.broker.samples import consumer, fetch, task
from penstock.testing.conformance.results.samples import ending, lease, record, start
from tests.servers import Postgres as Server


def opened(server: Server) -> Backends:
    url = server.fresh()
    return connect(Settings(broker_url=url, result_backend=url))


def driver(backends: Backends) -> Postgres:
    assert isinstance(backends.broker.driver, Postgres)
    return backends.broker.driver


async def test_who_falls_asleep_while_something_is_written_waits_for_it_at_the_gate(postgres_server: Server) -> None:
    async with opened(postgres_server) as backends:
        own = driver(backends)
        made = whole([backends.broker.publish([task("t")])], own.address.schema)
        assert made is not None
        connection = await own.links.connect()
        try:
            transaction = connection.transaction()
            await transaction.start()
            [row] = await connection.fetch(made.text, *made.given(*own.channels(["messages"])))
            assert row["woken"] == 0  # nobody sleeps yet
            async with consumer(backends.broker) as taker:
                fetching = asyncio.create_task(taker.fetch(10))
                while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await transaction.commit()
                async with asyncio.timeout(4):  # the safety net would be slower
                    assert [each.message.task_id for each in await fetching] == ["t"]
        finally:
            await connection.close()


async def test_a_statement_that_is_refused_leaves_nothing_behind(postgres_server: Server) -> None:
    async with opened(postgres_server) as backends:
        records, broker = backends.results.records, backends.broker
        first, other = record(), record()
        await commit(records.create([first]), broker.publish([first.message]))
        with pytest.raises(TaskIdTaken):
            await commit(records.create([other, record(first.task_id)]), broker.publish([other.message, first.message]))
        assert list(await records.get([first.task_id, other.task_id])) == [first.task_id]
        [depth] = await broker.depth()
        assert depth.ready == 1
        async with consumer(broker) as taker:
            taken = await fetch(taker)
            with pytest.raises(LeaseLost):
                await commit(records.finish([ending(first)], "lost"), taker.settle(taken))
            [depth] = await broker.depth()
            assert (depth.ready, depth.claimed) == (0, 1)


async def test_what_a_statement_cannot_do_is_done_step_by_step(postgres_server: Server) -> None:
    async with opened(postgres_server) as backends:
        records, broker = backends.results.records, backends.broker
        stranger, known = record(), record()
        await commit(records.create([known]), broker.publish([known.message, stranger.message]))
        own = await lease(backends.results)
        async with consumer(broker) as taker:
            taken = await fetch(taker)
            endings = [ending(each) for each in taken]
            [done, _] = await commit(records.finish(endings, own), taker.settle(taken))
        found = await records.get([known.task_id, stranger.task_id])
        assert (done, [each.state for each in found.values()]) == ([True, True], ["SUCCESS", "SUCCESS"])
        assert [(depth.ready, depth.claimed) for depth in await broker.depth()] == [(0, 0)]


async def test_a_claim_tells_how_the_tasks_stand(postgres_server: Server) -> None:
    async with opened(postgres_server) as backends:
        records, broker = backends.results.records, backends.broker
        own = await lease(backends.results)
        plain, cancelled, running, stranger = made = [record() for _ in range(4)]
        await records.create(made[:3])
        await broker.publish([each.message for each in made])
        await records.cancel([cancelled.task_id], "enough")
        await records.start([start(running)], own)
        async with consumer(broker) as taker:
            stood: dict[str, Any] = {each.message.task_id: each.standing for each in await fetch(taker)}
        asked = await records.check([each.task_id for each in made])
        assert stood.pop(stranger.task_id) is None
        for task_id in (plain.task_id, cancelled.task_id):
            assert stood[task_id] == asked[task_id]
        assert (stood[running.task_id].state, stood[running.task_id].held > 0) == ("STARTED", True)
