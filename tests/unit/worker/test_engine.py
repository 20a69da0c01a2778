"""From a consumer to the records, on memory: the whole pipe without its processes."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest

from penstock.client.context import running
from penstock.core.errors import Reject, Retry, SoftTimeLimitExceeded
from penstock.core.message import Standing
from penstock.core.states import FAILURE, PENDING, REVOKED, STARTED, SUCCESS
from penstock.worker import watch
from penstock.worker.load import Kind
from tests.unit.worker.parts import Bench, app_in_memory, on_bench, soon, turns


async def test_plain_and_async_functions_run_with_their_arguments_rebuilt() -> None:
    app = app_in_memory()
    seen: list[Any] = []

    @app.task
    def plain(x: int, y: tuple[int, int]) -> int:
        seen.append((x, y))
        return x

    @app.task
    async def asynchronous(x: int) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"x": x}

    async def test(bench: Bench) -> None:
        first, second = await bench.send("plain", 1, [2, 3]), await bench.send("asynchronous", 4)
        assert (await bench.ended(first)).result == b"1"
        assert (await bench.ended(second)).result == b'{"x":4}'
        assert seen == [(1, (2, 3))]
        assert await bench.depth() == 0

    await on_bench(app, test)


async def test_a_plain_function_never_runs_on_the_loop() -> None:
    app = app_in_memory()
    app.task(name="where")(lambda: threading.current_thread() is threading.main_thread())

    async def test(bench: Bench) -> None:
        assert (await bench.ended(await bench.send("where"))).result == b"false"

    await on_bench(app, test)


async def test_a_task_sees_its_request_and_its_context_is_its_own() -> None:
    app = app_in_memory()
    mine: ContextVar[str] = ContextVar("mine", default="clean")

    @app.task
    def plain() -> list[Any]:
        found = mine.get()
        mine.set("dirty")
        current = running.get()
        assert current is not None
        return [found, current.request.hostname, current.request.deliveries, current.worker]

    @app.task
    async def asynchronous() -> list[Any]:
        found = mine.get()
        mine.set("dirty")
        await asyncio.sleep(0)
        current = running.get()
        assert current is not None
        return [found, current.request.hostname, current.request.deliveries, current.worker]

    async def test(bench: Bench) -> None:
        for name in ("plain", "asynchronous") * 3:
            record = await bench.ended(await bench.send(name))
            assert json.loads(record.result) == ["clean", "w@h", 1, "w@h"]

    await on_bench(app, test)


async def test_ignore_result_drops_the_value_and_keeps_the_record() -> None:
    app = app_in_memory()
    app.task(name="quiet", ignore_result=True)(lambda: 5)

    async def test(bench: Bench) -> None:
        record = await bench.ended(await bench.send("quiet"))
        assert (record.state, record.result) == (SUCCESS, None)
        loud = await bench.ended(await bench.send("quiet", ignore_result=False))
        assert loud.result == b"5"

    await on_bench(app, test)


async def test_a_task_with_track_started_is_marked_before_it_runs() -> None:
    app = app_in_memory()
    gate = threading.Event()
    app.task(name="seen", track_started=True)(lambda: gate.wait(5) and None)

    async def test(bench: Bench) -> None:
        task_id = await bench.send("seen")
        await soon(bench.seat.running)
        [record] = (await bench.backends.results.records.get([task_id])).values()
        assert (record.state, record.deliveries) == (STARTED, 0)
        gate.set()
        assert (await bench.ended(task_id)).state == SUCCESS

    await on_bench(app, test)


async def test_a_redelivered_message_is_marked_and_charged_before_it_runs() -> None:
    app = app_in_memory()
    gate = threading.Event()
    app.task(name="again")(lambda: gate.wait(5) and None)

    async def test(bench: Bench) -> None:
        broker = bench.backends.broker
        await bench.engine.intake.stop()
        task_id = await bench.send("again")
        taker = broker.consume(["default"], "dead")
        await taker.fetch(1)
        await broker.release(["dead"])
        async with app.backends() as backends:
            other = Bench(app, backends)
            other.engine.start()
            await other.open("second")
            await soon(other.seat.running)
            [record] = (await backends.results.records.get([task_id])).values()
            assert (record.state, record.deliveries) == (STARTED, 1)
            gate.set()
            assert (await other.ended(task_id)).state == SUCCESS
            await other.engine.stop()
            await other.engine.close()

    await on_bench(app, test)


async def test_a_copy_of_a_message_that_is_here_already_is_only_settled() -> None:
    app = app_in_memory()
    runs: list[int] = []
    gate = threading.Event()

    @app.task
    def once() -> None:
        runs.append(1)
        gate.wait(5)

    async def test(bench: Bench) -> None:
        task_id = await bench.send("once")
        await soon(lambda: runs)
        [record] = (await bench.backends.results.records.get([task_id])).values()
        await bench.backends.broker.publish([record.message])
        await soon(lambda: len(bench.engine.floor.held) == 1)
        gate.set()
        await bench.ended(task_id)
        await bench.engine.finish()
        assert (runs, await bench.depth()) == ([1], 0)

    await on_bench(app, test)


async def test_a_task_of_a_foreign_producer_gets_a_record() -> None:
    app = app_in_memory()
    app.task(name="add")(lambda x, y: x + y)

    async def test(bench: Bench) -> None:
        made = app.prepare("add", [2, 3])
        await bench.backends.broker.publish([made.message])
        await soon(lambda: bench.engine.executor.processed)
        await bench.engine.finish()
        assert (await bench.ended(made.record.task_id)).result == b"5"

    await on_bench(app, test)


def believe_quick(bench: Bench) -> None:
    """Have the engine expect quick tasks, so that it holds many."""
    bench.engine.floor._plain.mean = 0.000_1


async def test_what_waits_behind_slow_tasks_is_handed_back_uncharged() -> None:
    app = app_in_memory()
    gate = threading.Event()
    app.task(name="slow")(lambda: gate.wait(5) and None)

    async def test(bench: Bench) -> None:
        believe_quick(bench)
        task_ids = [await bench.send("slow") for _ in range(3)]
        engine = bench.engine
        await soon(lambda: bench.seat.running() and len(engine.floor.threads.waiting) == 2)
        engine.watch.look()
        await turns()
        assert len(engine.floor.held) == 3
        for job in engine.floor.held:
            job.received -= watch.HOLD
        await engine.intake.stop()
        engine.watch.look()
        await soon(lambda: len(engine.floor.held) == 1)
        [depth] = await bench.backends.broker.depth()
        assert (depth.ready, depth.claimed) == (2, 1)
        gate.set()
        assert (await bench.ended(task_ids[0])).state == SUCCESS
        records = await bench.backends.results.records.get(task_ids)
        assert [records[task_id].deliveries for task_id in task_ids] == [0, 0, 0]

    await on_bench(app, test, threads=1)


@pytest.mark.parametrize(("results", "held"), [("", 200), ("memory://elsewhere", 300)])
async def test_a_fetch_waits_for_a_write_only_where_it_can_share_its_transaction(results: str, held: int) -> None:
    app = app_in_memory(result_backend=results or None)
    gate = threading.Event()
    app.task(name="slow")(lambda: gate.wait(5) and None)

    async def test(bench: Bench) -> None:
        engine = bench.engine
        engine.executor.checks.kinds["slow"] = Kind(False, 0.000_1)
        engine.floor._plain.mean = engine.floor._async.mean = 0.000_1
        for _ in range(350):
            await bench.send("slow")
        await soon(lambda: len(engine.floor.held) >= held)
        await turns()
        assert len(engine.floor.held) == held
        gate.set()

    await on_bench(app, test, threads=1)


async def test_a_cancelled_task_that_waits_here_is_revoked_and_never_runs() -> None:
    app = app_in_memory()
    gate, ran = threading.Event(), []

    @app.task
    def slow(name: str) -> None:
        ran.append(name)
        gate.wait(5)

    async def test(bench: Bench) -> None:
        believe_quick(bench)
        first, second = await bench.send("slow", "first"), await bench.send("slow", "second")
        await soon(lambda: ran and bench.engine.floor.threads.waiting)
        assert bench.engine.enforcer.cancel(second, False) == "revoked"
        assert (await bench.ended(second)).state == REVOKED
        gate.set()
        assert (await bench.ended(first)).state == SUCCESS
        assert ran == ["first"]
        assert await bench.depth() == 0

    await on_bench(app, test, threads=1)


async def test_a_running_task_is_terminated_and_what_its_code_does_then_has_no_effect() -> None:
    app = app_in_memory()
    cleaned: list[str] = []

    @app.task
    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            cleaned.append("up")
        return "too late"

    async def test(bench: Bench) -> None:
        task_id = await bench.send("slow")
        await soon(bench.seat.running)
        assert bench.engine.enforcer.cancel(task_id, False) == "running"
        assert bench.engine.enforcer.cancel(task_id, True) == "terminated"
        record = await bench.ended(task_id)
        assert (record.state, json.loads(record.result)["exc_message"]) == (REVOKED, ["terminated"])
        assert cleaned == ["up"]
        assert bench.engine.enforcer.cancel(task_id, True) == ""

    await on_bench(app, test)


async def test_limits_of_coroutines_are_kept() -> None:
    app = app_in_memory()

    @app.task
    async def slow() -> str:
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            return "cleaned up"
        return "?"

    async def test(bench: Bench) -> None:
        record = await bench.ended(await bench.send("slow", soft_time_limit=0.01))
        assert (record.state, record.result) == (SUCCESS, b'"cleaned up"')
        record = await bench.ended(await bench.send("slow", time_limit=0.01))
        assert (record.state, json.loads(record.result)["exc_message"]) == (FAILURE, [0.01])

    await on_bench(app, test)


async def test_retries_come_back_through_the_broker() -> None:
    app = app_in_memory()

    @app.task(bind=True, max_retries=3)
    def again(self) -> int:  # type: ignore[no-untyped-def]
        if self.request.retries < 2:
            raise Retry(delay=0.0)
        return self.request.retries  # type: ignore[no-any-return]

    async def test(bench: Bench) -> None:
        record = await bench.ended(await bench.send("again"))
        assert (record.state, record.result, record.retries) == (SUCCESS, b"2", 2)
        assert [attempt.number for attempt in record.attempts] == [1, 2]

    await on_bench(app, test)


async def test_a_lost_lease_is_told_and_nothing_of_it_is_written_any_more() -> None:
    app = app_in_memory()
    gate = threading.Event()
    app.task(name="slow")(lambda: gate.wait(5) and None)

    async def test(bench: Bench) -> None:
        task_id = await bench.send("slow")
        await soon(bench.seat.running)
        await bench.backends.results.leases.close(["lease"])
        gate.set()
        await soon(lambda: bench.told == ["lost lease"])
        assert bench.engine.floor.held == {}
        [record] = (await bench.backends.results.records.get([task_id])).values()
        assert record.state == PENDING
        await bench.session.consumer.stop()
        await bench.backends.broker.release(["lease"])
        await bench.open("another")  # and it goes on
        assert (await bench.ended(task_id)).state == SUCCESS

    await on_bench(app, test)


async def test_no_more_messages_are_taken_than_the_quota() -> None:
    app = app_in_memory()
    app.task(name="add")(lambda x, y: x + y)

    async def test(bench: Bench) -> None:
        for _ in range(10):
            await bench.send("add", 1, 2)
        await soon(lambda: bench.told == ["full"])
        await bench.engine.stop()
        await bench.engine.finish()
        assert 1 <= bench.engine.executor.processed <= 4
        assert await bench.depth() == 10 - bench.engine.executor.processed

    await on_bench(app, test, quota=4)


async def test_progress_is_written_and_marks_the_task_as_started() -> None:
    app = app_in_memory()
    gate = threading.Event()

    @app.task(bind=True)
    def steps(self) -> None:  # type: ignore[no-untyped-def]
        self.progress(0.5, "half")
        gate.wait(5)

    async def test(bench: Bench) -> None:
        task_id = await bench.send("steps")

        watch = bench.backends.results.records.watch([task_id])
        async with asyncio.timeout(5):
            while (record := (await bench.backends.results.records.get([task_id]))[task_id]).progress is None:
                await watch.wait()
        await watch.close()
        assert (record.state, json.loads(record.progress)["fraction"]) == (STARTED, 0.5)
        gate.set()
        await bench.ended(task_id)

    await on_bench(app, test)


@pytest.mark.parametrize("name", ["slow", "aslow"])
async def test_abandoned_runs_go_back_uncharged(name: str) -> None:
    app = app_in_memory()
    gate = threading.Event()
    app.task(name="slow")(lambda: gate.wait(5) and None)

    @app.task
    async def aslow() -> None:
        await asyncio.sleep(60)

    async def test(bench: Bench) -> None:
        task_id = await bench.send(name)
        await soon(bench.seat.running)
        await bench.engine.starter.note(list(bench.engine.floor.held))
        await bench.engine.stop()
        await bench.engine.abandon()
        [record] = (await bench.backends.results.records.get([task_id])).values()
        assert (record.state, record.deliveries, record.attempts) == (PENDING, 0, [])
        assert (await bench.backends.broker.depth())[0].ready == 1
        gate.set()

    await on_bench(app, test)


async def test_what_the_claim_has_told_of_a_record_is_not_asked_again() -> None:
    app = app_in_memory()
    ran: list[int] = []
    app.task(name="add")(lambda x, y: ran.append(x + y))

    async def test(bench: Bench) -> None:
        records, asked = bench.backends.results.records, []
        check = records.check

        def counted(task_ids: Sequence[str]) -> Any:
            asked.append(list(task_ids))
            return check(task_ids)

        records.check = counted  # type: ignore[method-assign]
        await bench.engine.intake.stop()
        async with app.backends() as other:
            submissions = [app.prepare("add", [1, 2], {}, {"task_id": name}) for name in ("told", "gone", "new")]
            await other.broker.publish([each.message for each in submissions])
            deliveries = await bench.backends.broker.consume(["default"], "lease").fetch(3)
        deliveries[0].standing = Standing("PENDING", "", 0, 0, 0)
        deliveries[1].standing = Standing("SUCCESS", "", 0, 0, 1)
        bench.engine.executor.take(deliveries, bench.session)
        await bench.engine.finish()
        assert (asked, ran) == ([["new"]], [3, 3])

    await on_bench(app, test)


async def test_an_id_that_the_records_cannot_take_does_not_hold_up_its_neighbours() -> None:
    app = app_in_memory()
    app.task(name="add")(lambda x, y: x + y)

    async def test(bench: Bench) -> None:
        records = bench.backends.results.records
        check = records.check

        def choosy(task_ids: Sequence[str]) -> Any:
            if "bad" in task_ids:
                raise ValueError("no such id")
            return check(task_ids)

        records.check = choosy  # type: ignore[method-assign]
        await bench.engine.intake.stop()
        async with app.backends() as other:
            submissions = [app.prepare("add", [1, 2], {}, {"task_id": name}) for name in ("good", "bad", "fine")]
            await other.broker.publish([each.message for each in submissions])
            deliveries = await bench.backends.broker.consume(["default"], "lease").fetch(3)
        bench.engine.executor.take(deliveries, bench.session)
        await bench.engine.finish()
        found = await records.get(["good", "bad", "fine"])
        assert [found[name].state for name in ("good", "bad", "fine")] == [SUCCESS, FAILURE, SUCCESS]
        [letter] = await bench.backends.results.dead.of_task("bad")
        assert letter.reason == "unrecordable"

    await on_bench(app, test)


async def test_a_failure_whose_text_cannot_be_stored_keeps_its_own_class_and_traceback() -> None:
    app = app_in_memory()

    @app.task
    def opens() -> None:
        raise FileNotFoundError(2, "no such file", "\udcff.jpg")

    async def test(bench: Bench) -> None:
        record = await bench.ended(await bench.send("opens"))
        assert record.state == FAILURE
        assert json.loads(record.result)["exc_type"] == "FileNotFoundError"
        assert "\\udcff.jpg" in record.traceback
        record.traceback.encode()

    await on_bench(app, test)


async def test_a_failure_leaves_no_cycle_behind() -> None:
    app = app_in_memory()
    kept: list[weakref.ref[object]] = []

    class Large:
        pass

    @app.task
    def fails() -> None:
        large = Large()
        kept.append(weakref.ref(large))
        raise ValueError("boom")

    async def test(bench: Bench) -> None:
        gc.disable()
        try:
            await bench.ended(await bench.send("fails"))
            await bench.engine.finish()
            await soon(lambda: kept[0]() is None)
        finally:
            gc.enable()

    await on_bench(app, test)


async def test_a_long_run_is_parked_where_the_server_takes_back_what_is_held_for_long() -> None:
    app = app_in_memory(park_after=0.5)
    gates = [threading.Event(), threading.Event()]

    @app.task
    def long(which: int) -> int:
        gates[which].wait(10)
        return which

    async def test(bench: Bench) -> None:
        bench.session.consumer.lasting = False
        done, lost = await bench.send("long", 0), await bench.send("long", 1)
        jobs = bench.engine.floor.held
        await soon(lambda: len(jobs) == 2 and all(job.parked for job in jobs))
        assert await bench.depth() == 0
        gates[0].set()
        assert (await bench.ended(done)).result == b"0"
        await bench.backends.results.leases.close(["lease"])
        owed = await bench.backends.results.records.unconfirmed(0.0, 10)
        assert [record.task_id for record in owed] == [lost]
        gates[1].set()

    await on_bench(app, test, threads=2)


async def test_a_parked_run_that_is_abandoned_is_published_again() -> None:
    app = app_in_memory(park_after=0.5)
    gate = threading.Event()

    @app.task
    def long() -> None:
        gate.wait(10)

    async def test(bench: Bench) -> None:
        bench.session.consumer.lasting = False
        task_id = await bench.send("long")
        await soon(lambda: any(job.parked for job in bench.engine.floor.held))
        await bench.engine.stop()
        await bench.engine.abandon()
        assert (await bench.depth(), await bench.backends.results.records.unconfirmed(0.0, 10)) == (1, [])
        found = (await bench.backends.results.records.get([task_id]))[task_id]
        assert (found.state, found.deliveries) == ("PENDING", 0)
        gate.set()

    await on_bench(app, test)


async def test_a_run_that_gives_its_message_back_does_not_seem_to_run_on() -> None:
    app = app_in_memory()
    runs: list[int] = []

    @app.task(track_started=True)
    def picky() -> int:
        runs.append(1)
        if len(runs) == 1:
            raise Reject("not yet", requeue=True)
        return len(runs)

    async def test(bench: Bench) -> None:
        assert (await bench.ended(await bench.send("picky"))).result == b"2"

    await on_bench(app, test)


async def test_a_fetch_waits_for_the_write_of_what_has_ended_to_share_its_transaction() -> None:
    app = app_in_memory()
    gates = [threading.Event(), threading.Event()]
    app.task(name="held")(lambda number: gates[number].wait(5) and None)

    async def test(bench: Bench) -> None:
        first, second = [await bench.send("held", number) for number in range(2)]
        await soon(lambda: len(bench.engine.floor.running()) == 2)
        assert not bench.engine._busy()
        jobs = bench.engine.floor.running()
        for job in jobs:
            bench.engine.judge.end(job, SUCCESS, b"null")
            job.judged = True
        bench.engine.recorder.add(jobs)
        assert bench.engine._busy()
        assert (await bench.ended(first)).state == (await bench.ended(second)).state == SUCCESS
        assert not bench.engine._busy()
        for gate in gates:
            gate.set()

    await on_bench(app, test)
