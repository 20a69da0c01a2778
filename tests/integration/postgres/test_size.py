"""The cost of a question does not grow with what is kept; what retention deletes makes room (DESIGN §7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from penstock.client.app import Penstock
from penstock.core.record import Filter
from penstock.testing.conformance.broker.samples import task
from penstock.testing.conformance.results.samples import record
from tests.integration.postgres import sizes
from tests.servers import Postgres

#: how many rows a question looks up one by one: each may cost as many pages more as its index has levels more
_LOOKUPS: Final = {"check 100": 100, "claim 100": 300, "submit 100": 400, "page of ended": 9}


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with sizes.statistics() as server:
        yield server


@pytest.mark.timeout(600)
async def test_questions_cost_as_much_with_a_hundred_thousand_tasks_as_with_five_thousand(server: Postgres) -> None:
    found = []
    for size in ((5_000, 5_000), (100_000, 100_000)):
        app = Penstock("sizes", broker=server.fresh())
        async with app.backends() as backends:
            await sizes.fill(backends, *size)
            found.append({name: buffers for name, (buffers, _) in (await sizes.costs(app, backends)).items()})
    small, large = found
    allowed = {name: small[name] * 1.2 + 2 * _LOOKUPS.get(name, 4) for name in small}
    assert {name: cost for name, cost in large.items() if cost > allowed[name]} == {}


@pytest.mark.timeout(600)
async def test_what_was_planned_while_nothing_waited_does_not_walk_all_that_came_since(server: Postgres) -> None:
    app = Penstock("sizes", broker=server.fresh())
    async with app.backends() as backends:
        broker = backends.broker
        consumer: Any = broker.consume(["default"], "lease")
        await sizes.fill(backends, 0, 0)  # all is analysed while there is nothing
        assert (await consumer.claim(["default"], 1)).deliveries == []
        assert await backends.results.records.get(["none"]) == {}
        assert await broker.purge("default") == []
        await broker.publish([task(due=time.time() + 3600) for _ in range(5_000)])
        await broker.publish([task() for _ in range(5_000)])
        touched, claim = await sizes.spent(backends, consumer.claim(["default"], 1))
        assert (len(claim.deliveries), touched < 100) == (1, True), touched
        made = [record() for _ in range(5_000)]
        await backends.results.records.create(made)
        touched, found = await sizes.spent(backends, backends.results.records.get([made[7].task_id]))
        assert (len(found), touched < 20) == (1, True), touched
        touched, purged = await sizes.spent(backends, broker.purge("default", 10))
        assert (len(purged), touched < 300) == (10, True), touched
        await broker.publish([task(due=time.time() + 0.01) for _ in range(500)])
        await asyncio.sleep(0.02)
        touched, claim = await sizes.spent(backends, consumer.claim(["default"], 1))
        assert (len(claim.deliveries), touched < 20_000) == (1, True), touched


@pytest.mark.timeout(600)
async def test_room_that_retention_makes_is_used_again_and_given_back(server: Postgres) -> None:
    app = Penstock("sizes", broker=server.fresh())
    async with app.backends() as backends:
        await sizes.fill(backends, 2_000, 0)
        largest = []
        for _ in range(3):
            await sizes.fill(backends, 0, 40_000)
            largest.append(await sizes.cleaned(backends))
            assert await sizes.forgotten(backends) == 40_000
            emptied = await sizes.cleaned(backends)
            assert emptied["records"][0] + emptied["payloads"][0] < 4_000_000
        for table in ("records", "payloads"):
            for part in (0, 1):  # the table, its indexes
                assert largest[2][table][part] <= largest[0][table][part] * 1.1


@pytest.mark.timeout(600)
async def test_what_stands_behind_the_deleted_does_not_hold_their_room(server: Postgres) -> None:
    app = Penstock("sizes", broker=server.fresh())
    async with app.backends() as backends:
        await sizes.fill(backends, 2_000, 60_000)  # those that wait came last
        full = await sizes.cleaned(backends)
        await sizes.forgotten(backends)
        emptied = await sizes.cleaned(backends)
        for table in ("records", "payloads"):
            assert emptied[table][0] < full[table][0] / 3
        waiting = [f"01940000-0000-7000-8000-{number:012}" for number in (1, 2_000)]
        found = await backends.results.records.get(waiting)
        assert [found[each].message.body for each in waiting] == [b"b" * 100] * 2
        assert await backends.results.records.count(Filter()) == 2_000
        assert len((await backends.results.records.page(Filter(), 50)).items) == 50
