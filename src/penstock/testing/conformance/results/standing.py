"""What the check before a run asks, and records that stand for messages which have left the broker."""

from __future__ import annotations

import pytest

from penstock.core.errors import LeaseLost
from penstock.core.message import Standing
from penstock.core.states import PENDING, RETRY
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import created, ending, lease, record, retry, start


class TestChecking:
    async def test_the_standing_of_those_that_exist_is_given_by_id(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, two = await created(
                results,
                record(),
                record(state=RETRY, cancel="revoked", generation=2, retries=3, deliveries=4),
            )
            assert await results.records.check([one.task_id, "unknown", two.task_id]) == {
                one.task_id: Standing(PENDING, "", 0, 0, 0),
                two.task_id: Standing(RETRY, "revoked", 2, 3, 4),
            }

    async def test_a_run_is_held_as_long_as_its_lease_is_alive(self, harness: Harness) -> None:
        async with harness.results() as results:
            running, waiting = await created(results, record(), record())
            name = await lease(results, 60.0)
            await results.records.start([start(running)], name)
            ids = [running.task_id, waiting.task_id]
            found = await results.records.check(ids)
            left = found[running.task_id].held
            assert left is not None
            assert 50.0 < left <= 60.0
            assert found[waiting.task_id].held is None
            await harness.elapse(61.0)  # late, but nobody has condemned it
            left = (await results.records.check(ids))[running.task_id].held
            assert left is not None
            assert left < 0
            await results.leases.condemn([name])
            assert (await results.records.check(ids))[running.task_id].held is None

    async def test_an_ended_run_and_one_given_back_are_not_held(self, harness: Harness) -> None:
        async with harness.results() as results:
            ended, back = await created(results, record(), record())
            name = await lease(results)
            await results.records.start([start(ended), start(back)], name)
            await results.records.finish([ending(ended)], name)
            await results.records.put_back({back.task_id: 0}, name)
            found = await results.records.check([ended.task_id, back.task_id])
            assert [each.held for each in found.values()] == [None, None]

    async def test_nothing_is_known_of_a_foreign_task(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert await results.records.check(["unknown"]) == {}
            assert await results.records.check([]) == {}


class TestParking:
    async def test_a_parked_run_that_is_lost_is_owed(self, harness: Harness) -> None:
        async with harness.results() as results:
            task, other = await created(results, record(), record())
            name = await lease(results)
            await results.records.start([start(task), start(other)], name)
            assert await results.records.park([task.task_id], name) == [True]
            assert await results.records.unconfirmed(0.0, 10) == []  # while it runs
            await results.leases.close([name])
            owed = await results.records.unconfirmed(30.0, 10)
            assert [each.task_id for each in owed] == [task.task_id]
            assert owed[0].message == task.message

    async def test_what_was_parked_and_ended_is_owed_no_more(self, harness: Harness) -> None:
        async with harness.results() as results:
            task, again = await created(results, record(), record())
            name = await lease(results)
            await results.records.start([start(task), start(again)], name)
            await results.records.park([task.task_id, again.task_id], name)
            await results.records.finish([ending(task), retry(again)], name)
            assert await results.records.unconfirmed(0.0, 10) == []

    async def test_only_runs_under_the_lease_are_parked(self, harness: Harness) -> None:
        async with harness.results() as results:
            waiting, others = await created(results, record(), record())
            mine, theirs = await lease(results), await lease(results)
            await results.records.start([start(others)], theirs)
            ids = [waiting.task_id, others.task_id, "unknown"]
            assert await results.records.park(ids, mine) == [False, False, False]
            with pytest.raises(LeaseLost):
                await results.records.park(ids, "dead")
