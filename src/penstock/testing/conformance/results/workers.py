"""The register of workers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.core.errors import Conflict
from penstock.core.record import WorkerInfo
from penstock.core.results import ResultBackend
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import WORKER, worker


async def listed(results: ResultBackend) -> list[str]:
    return [info.name for info in await results.workers.all()]


class TestWorkers:
    async def test_a_worker_is_listed_as_it_registered_itself(self, harness: Harness) -> None:
        info = worker(queues=["default", "größe"], tasks={"größe": {"type": "object", "properties": {"x": {}}}})
        async with harness.results() as results, harness.results() as other:
            await results.workers.register(info, 60)
            (found,) = await other.workers.all()
        assert replace(found, seen_at=0.0) == info
        assert abs(found.seen_at - harness.now()) < 5

    async def test_they_are_listed_by_name(self, harness: Harness) -> None:
        async with harness.results() as results:
            for name in ("c@host", "a@host", "b@host"):
                await results.workers.register(worker(name), 60)
            assert await listed(results) == ["a@host", "b@host", "c@host"]

    async def test_a_live_workers_name_is_taken(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.workers.register(worker(pid=17), 60)
            with pytest.raises(Conflict):
                await results.workers.register(worker(pid=18), 60)
            assert [info.pid for info in await results.workers.all()] == [17]

    async def test_ones_own_entry_is_replaced(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.workers.register(worker(queues=["a"]), 60)
            await results.workers.report(WORKER, {"old": 1}, 60)
            await results.workers.register(worker(queues=["b"]), 60)
            (found,) = await results.workers.all()
        assert (found.queues, found.status) == (["b"], {})

    async def test_the_name_is_free_once_the_worker_is_silent_for_too_long(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.workers.register(worker(pid=17), 0.2)
            await harness.elapse(0.3)
            assert await listed(results) == []
            await results.workers.register(worker(pid=18), 60)
            assert [info.pid for info in await results.workers.all()] == [18]

    async def test_the_name_is_free_once_the_worker_left(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.workers.register(worker(pid=17), 60)
            await results.workers.leave(WORKER)
            await results.workers.leave(WORKER)
            assert await listed(results) == []
            await results.workers.register(worker(pid=18), 60)

    async def test_a_report_replaces_the_status_and_prolongs(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.workers.register(worker(), 0.4)
            await harness.elapse(0.2)
            assert await results.workers.report(WORKER, {"children": [{"pid": 1}]}, 60)
            await harness.elapse(0.3)
            assert await results.workers.report(WORKER, {"children": [], "ü": 1}, 60)
            (found,) = await results.workers.all()
        assert found.status == {"children": [], "ü": 1}
        assert abs(found.seen_at - harness.now()) < 0.1 + 5 * (found.seen_at < harness.now())

    async def test_a_report_of_a_worker_that_is_gone_says_so(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert not await results.workers.report("unknown", {}, 60)
            await results.workers.register(worker(), 0.2)
            await harness.elapse(0.3)
            assert not await results.workers.report(WORKER, {}, 60)
            assert await listed(results) == []

    async def test_a_sweep_leaves_the_living(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.workers.register(worker("dead@host"), 0.2)
            await results.workers.register(worker("alive@host"), 60)
            await harness.elapse(0.3)
            await results.keys.sweep()
            assert await listed(results) == ["alive@host"]

    async def test_status_may_be_any_json(self, harness: Harness) -> None:
        status: dict[str, object] = {"a": [1, 2.5, None, True, {"b": "任务"}], "long": "x" * 100_000}
        async with harness.results() as results:
            await results.workers.register(worker(), 60)
            await results.workers.report(WORKER, status, 60)
            found: WorkerInfo = (await results.workers.all())[0]
            assert found.status == status
