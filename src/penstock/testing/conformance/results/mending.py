"""Runs whose process died or gave them back: charge, put_back, and what closing a lease does to its runs."""

from __future__ import annotations

from penstock.core.states import FAILURE, PENDING, RETRY, STARTED, SUCCESS
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import (
    NOON,
    WORKER,
    created,
    delivery,
    ending,
    lease,
    read,
    record,
    retry,
    start,
)


class TestCharging:
    async def test_the_counts_are_raised_to_at_least_these(self, harness: Harness) -> None:
        async with harness.results() as results:
            low, high = await created(results, record(deliveries=1), record(deliveries=5))
            await results.records.charge({low.task_id: 3, high.task_id: 3, "unknown": 3})
            assert (await read(results, low)).deliveries == 3
            assert (await read(results, high)).deliveries == 5
            assert await results.records.get(["unknown"]) == {}

    async def test_ended_tasks_are_passed_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=FAILURE, finished_at=NOON, deliveries=1))
            await results.records.charge({task.task_id: 3})
            assert await read(results, task) == task


class TestPuttingBack:
    async def test_a_run_waits_again_as_before_it_began(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.start([start(task, deliveries=3)], own)
            await results.records.put_back({task.task_id: 2, "unknown": 1}, own)
            now = await read(results, task)
        assert (now.state, now.started_at, now.deliveries, now.attempts) == (PENDING, None, 2, [])
        assert now.history() == []

    async def test_what_began_under_another_lease_is_passed_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own, other = await lease(results), await lease(results)
            await results.records.start([start(task)], own)
            running = await read(results, task)
            await results.records.put_back({task.task_id: 0}, other)
            assert await read(results, task) == running

    async def test_what_does_not_run_is_passed_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            waits, ended, tried = await created(results, record(deliveries=1), record(), record())
            own = await lease(results)
            await results.records.start([start(ended), start(tried)], own)
            await results.records.finish([ending(ended), retry(tried)], own)
            before = await results.records.get([waits.task_id, ended.task_id, tried.task_id])
            await results.records.put_back(dict.fromkeys(before, 7), own)
            assert await results.records.get(list(before)) == before

    async def test_it_can_begin_again(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.start([start(task)], own)
            await results.records.put_back({task.task_id: 0}, own)
            assert await results.records.start([start(task)], await lease(results)) == [True]
            assert (await read(results, task)).deliveries == 1


class TestLostRuns:
    async def test_closing_a_lease_lets_its_runs_wait_again_and_keeps_them_as_lost(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, two = await created(results, record(), record())
            dead, alive = await lease(results, seconds=0.2), await lease(results)
            await results.records.start([start(one, deliveries=2)], dead)
            await results.records.start([start(two)], alive)
            await harness.elapse(0.3)
            await results.leases.close([dead])
            lost, runs = await read(results, one), await read(results, two)
        assert (lost.state, lost.started_at, lost.deliveries) == (PENDING, None, 2)
        (attempt,) = lost.attempts
        assert (attempt.number, attempt.state, attempt.worker, attempt.pid) == (1, "LOST", WORKER, 17)
        assert (attempt.started_at, attempt.error) == (NOON + 1, None)
        assert attempt.finished_at is not None
        assert abs(attempt.finished_at - harness.now()) < 5
        assert runs.state == STARTED

    async def test_lost_runs_are_numbered_among_the_attempts(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.finish([retry(task)], own)
            await results.records.start([start(delivery(task, retries=1))], own)
            await results.leases.close([own])
            now = await read(results, task)
        assert [(each.number, each.state) for each in now.attempts] == [(1, RETRY), (2, "LOST")]
        assert now.retries == 1

    async def test_a_run_that_another_lease_took_over_goes_on(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            dead, alive = await lease(results), await lease(results)
            await results.records.start([start(task)], dead)
            await results.records.start([start(task, deliveries=2)], alive)
            await results.leases.close([dead])
            now = await read(results, task)
        assert (now.state, now.attempts) == (STARTED, [])

    async def test_what_has_ended_stays_ended(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.start([start(task)], own)
            await results.records.finish([ending(task)], own)
            ended = await read(results, task)
            await results.leases.close([own])
            assert await read(results, task) == ended
            assert ended.state == SUCCESS

    async def test_a_lost_run_can_begin_again_and_its_history_is_whole(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.start([start(task)], own)
            await results.leases.close([own])
            alive = await lease(results)
            await results.records.start([start(task, deliveries=2)], alive)
            await results.records.finish([ending(task)], alive)
            history = (await read(results, task)).history()
        assert [(run.number, run.state) for run in history] == [(1, "LOST"), (2, SUCCESS)]
