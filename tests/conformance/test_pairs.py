"""Every broker with every result backend: a task's ways through both, and what a crash between the two leaves behind.

The real client submits; the worker's own pipe (`penstock.testing.adrain`) runs, records and settles.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
import pytest

from penstock.client import operations
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.client.submit import Submission
from penstock.core.errors import TaskIdTaken
from penstock.core.record import Filter, Record
from penstock.core.states import ENDED, FAILURE, PENDING, REVOKED, SUCCESS
from penstock.testing import adrain
from penstock.testing.conformance.results.samples import ending, lease
from penstock.worker.sweeps import Sweeps
from tests.places import BROKERS, RESULTS, place

#: seconds after which nobody waits for a confirmation any more
LONG = 3600.0


class Pair:
    """An app on a broker and a result backend, and what its tasks did."""

    def __init__(self, broker: str, results: str) -> None:
        self.app = Penstock("pair", broker=broker, result_backend=results)
        self.ran: list[Any] = []

        @self.app.task
        def add(x: int, y: int) -> int:
            self.ran.append((x, y))
            return x + y

        @self.app.task(max_retries=2, default_retry_delay=0.05, retry_jitter=False)
        def flaky() -> int:
            self.ran.append("flaky")
            if len(self.ran) < 3:
                raise ValueError("not yet")
            return len(self.ran)

        @self.app.task
        def boom() -> None:
            raise ValueError("boom", 42)

    async def send(self, task: str, *args: Any, **options: Any) -> str:
        return (await self.app.asend_task(task, args, **options)).id

    def made(self, task: str, *args: Any, **changes: Any) -> Submission:
        """What a submission consists of, not sent."""
        made = self.app.prepare(task, args)
        return Submission(msgspec.structs.replace(made.record, **changes), made.message)

    async def ended(self, *task_ids: str) -> list[Record]:
        """Run what there is until these have ended, one after the other."""
        async with asyncio.timeout(60), self.app.backends() as backends:
            while True:
                await adrain(self.app)
                found = await backends.results.records.get(task_ids)
                if all(task_id in found and found[task_id].state in ENDED for task_id in task_ids):
                    return [found[task_id] for task_id in task_ids]
                await asyncio.sleep(0.02)  # an attempt waits for its time

    def note(self, x: int) -> None:
        self.ran.append(x)

    async def left(self, backends: Backends) -> int:
        return sum(each.ready + (each.delayed or 0) + (each.claimed or 0) for each in await backends.broker.depth())


@pytest.fixture(params=[(broker, results) for broker in BROKERS for results in RESULTS], ids="-".join)
def pair(request: pytest.FixtureRequest) -> Pair:
    broker, results = request.param
    where = place(broker, request).url
    return Pair(where, where if broker == results else place(results, request).url)


class TestWays:
    async def test_tasks_run_and_are_recorded(self, pair: Pair) -> None:
        ids = [await pair.send("add", number, 1) for number in range(20)]
        records = await pair.ended(*ids)
        assert [(record.state, record.result) for record in records] == [
            (SUCCESS, str(number + 1).encode()) for number in range(20)
        ]
        assert sorted(pair.ran) == [(number, 1) for number in range(20)]
        async with pair.app.backends() as backends:
            assert await pair.left(backends) == 0
            assert await backends.results.records.count(Filter(states=[SUCCESS])) == 20
            assert all(record.confirmed for record in (await backends.results.records.get(ids)).values())
        assert await pair.app.AsyncResult(ids[3]).aget(timeout=30) == 4

    async def test_an_attempt_that_failed_is_made_again(self, pair: Pair) -> None:
        (record,) = await pair.ended(await pair.send("flaky"))
        assert (record.state, record.result, record.retries) == (SUCCESS, b"3", 2)
        assert [attempt.state for attempt in record.history()] == ["RETRY", "RETRY", SUCCESS]

    async def test_a_failure_comes_back_as_its_exception(self, pair: Pair) -> None:
        task_id = await pair.send("boom")
        (record,) = await pair.ended(task_id)
        assert record.state == FAILURE
        with pytest.raises(ValueError, match="boom"):
            await pair.app.AsyncResult(task_id).aget(timeout=30)

    async def test_a_failed_task_runs_again_when_it_is_asked_to(self, pair: Pair) -> None:
        task_id = await pair.send("boom")
        await pair.ended(task_id)
        async with pair.app.backends() as backends:
            again = await operations.retry(backends, task_id)
            assert (again.state, again.generation) == (PENDING, 1)
        (record,) = await pair.ended(task_id)
        assert (record.state, len(record.history())) == (FAILURE, 2)

    async def test_what_was_cancelled_never_runs(self, pair: Pair) -> None:
        now, later = await pair.send("add", 1, 2), await pair.send("add", 3, 4, countdown=LONG)
        async with pair.app.backends() as backends:
            for task_id in (now, later):
                found = await operations.cancel(backends, task_id)
                assert found.record.cancel or found.record.state == REVOKED
        await adrain(pair.app)
        async with pair.app.backends() as backends:
            states = [record.state for record in (await backends.results.records.get([now, later])).values()]
        assert states == [REVOKED, REVOKED]
        assert pair.ran == []

    async def test_what_nobody_knows_is_kept_and_can_be_replayed(self, pair: Pair) -> None:
        task_id = await pair.send("stranger", 5)
        (record,) = await pair.ended(task_id)
        assert record.state == FAILURE
        async with pair.app.backends() as backends:
            (letter,) = await backends.results.dead.of_task(task_id)
            assert (letter.reason, letter.task) == ("NotRegistered", "stranger")
            pair.app.task(name="stranger")(pair.note)
            await operations.replay(backends, letter.id)
        (record,) = await pair.ended(task_id)
        assert (record.state, pair.ran) == (SUCCESS, [5])
        async with pair.app.backends() as backends:
            assert await backends.results.dead.count() == 0

    async def test_a_taken_id_queues_nothing(self, pair: Pair) -> None:
        await pair.send("add", 1, 1, task_id="mine")
        with pytest.raises(TaskIdTaken):
            await pair.send("add", 2, 2, task_id="mine")
        await pair.ended("mine")
        with pytest.raises(TaskIdTaken):
            await pair.send("add", 3, 3, task_id="mine")
        await adrain(pair.app)
        assert pair.ran == [(1, 1)]

    async def test_a_delayed_task_waits_on_the_server(self, pair: Pair) -> None:
        began = time.time()
        task_id = await pair.send("add", 1, 2, countdown=0.3)
        (record,) = await pair.ended(task_id)
        assert record.started_at is not None
        assert record.started_at >= began + 0.3

    async def test_a_purged_task_is_revoked(self, pair: Pair) -> None:
        ids = [await pair.send("add", number, 0) for number in range(5)]
        async with pair.app.backends() as backends:
            assert await operations.purge(backends, "default") == 5
            records = await backends.results.records.get(ids)
        assert {record.state for record in records.values()} == {REVOKED}


class TestCrashes:
    """What is left where one of the two was written, and its process died before the other."""

    async def test_a_record_without_its_message_is_published_by_a_sweep(self, pair: Pair) -> None:
        made = self.old(pair)
        async with pair.app.backends() as backends:
            await backends.results.records.create([made.record])
        await self.swept(pair)
        (record,) = await pair.ended(made.record.task_id)
        assert (record.state, record.confirmed, pair.ran) == (SUCCESS, True, [(1, 2)])

    async def test_a_task_whose_publish_is_repeated_runs_once(self, pair: Pair) -> None:
        made = self.old(pair)
        async with pair.app.backends() as backends:
            await backends.results.records.create([made.record])
            await backends.broker.publish([made.message])
        await self.swept(pair)
        await pair.ended(made.record.task_id)
        async with pair.app.backends() as backends:
            assert await pair.left(backends) == 0
        assert pair.ran == [(1, 2)]

    async def test_what_was_recorded_and_not_settled_is_settled_without_a_run(self, pair: Pair) -> None:
        task_id = await pair.send("add", 1, 2)
        async with pair.app.backends() as backends:
            own = await lease(backends.results)
            consumer = backends.broker.consume(["default"], own)
            (taken,) = await consumer.fetch(1)
            assert await backends.results.records.finish([ending(taken, result=b'"first"')], own) == [True]
            await consumer.stop()
            await backends.broker.release([own])
            await backends.results.leases.close([own])
        await adrain(pair.app)
        async with pair.app.backends() as backends:
            assert await pair.left(backends) == 0
            record = (await backends.results.records.get([task_id]))[task_id]
        assert (record.state, record.result, pair.ran) == (SUCCESS, b'"first"', [])

    async def test_what_was_taken_by_a_process_that_died_runs_again(self, pair: Pair) -> None:
        task_id = await pair.send("add", 1, 2)
        async with pair.app.backends() as backends:
            own = await lease(backends.results)
            consumer = backends.broker.consume(["default"], own)
            assert len(await consumer.fetch(1)) == 1
            await consumer.stop()
        async with pair.app.backends() as backends:
            await backends.broker.release([own])
            await backends.results.leases.close([own])
        (record,) = await pair.ended(task_id)
        assert (record.state, pair.ran) == (SUCCESS, [(1, 2)])

    @staticmethod
    def old(pair: Pair) -> Submission:
        """A submission whose process died a while ago."""
        return pair.made("add", 1, 2, created_at=time.time() - LONG, confirmed=False, submitter="gone")

    @staticmethod
    async def swept(pair: Pair) -> None:
        async with pair.app.backends() as backends:
            await Sweeps(backends, pair.app.settings, "sweeper").often()
