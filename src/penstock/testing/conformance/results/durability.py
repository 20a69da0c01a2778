"""What several processes share, and what outlives them. Not for a store in memory."""

from __future__ import annotations

import asyncio

from penstock.core.record import Command
from penstock.core.schedule import Schedule
from penstock.core.states import PENDING, REVOKED, SUCCESS
from penstock.testing.conformance.elsewhere import elsewhere, line, lines
from penstock.testing.conformance.results.feed import woken
from penstock.testing.conformance.results.harness import DurableHarness
from penstock.testing.conformance.results.samples import (
    WORKER,
    created,
    ending,
    lease,
    letter,
    read,
    record,
    start,
    worker,
)


class TestDurability:
    async def test_what_was_answered_is_there_after_closing_and_opening(self, durable: DurableHarness) -> None:
        waits, runs, ended = record(args=["ü"]), record(), record()
        async with durable.results() as results:
            own = await lease(results)
            await created(results, waits, runs, ended)
            await results.records.start([start(runs)], own)
            await results.records.finish([ending(ended, result=b"17")], own)
            await results.workers.register(worker(), 60)
            await results.mailbox.send(WORKER, Command(id="c", method="ping"))
            await results.dead.add([letter("d")])
            await results.keys.put("k", b"1", 60)
            await results.keys.lock("l", "me", 60)
            await results.schedules.sync("shop", [Schedule(name="tick", task="add", every=1000)])
            before = await results.records.get([waits.task_id, runs.task_id, ended.task_id])
            feed, schedules = await results.records.changes(0), await results.schedules.all()
        async with durable.results() as results:
            assert await results.records.get(list(before)) == before
            assert (await results.records.changes(0), await results.schedules.all()) == (feed, schedules)
            assert await results.leases.owner(own) == WORKER
            assert [info.name for info in await results.workers.all()] == [WORKER]
            assert [each.id for each in await results.mailbox.take(WORKER)] == ["c"]
            assert await results.dead.get("d") == letter("d")
            assert await results.keys.get("k") == b"1"
            assert not await results.keys.lock("l", "you", 60)

    async def test_a_cancelled_task_stays_cancelled_after_closing_and_opening(self, durable: DurableHarness) -> None:
        marked, revoked = record(), record()
        async with durable.results() as results:
            await created(results, marked, revoked)
            await results.records.cancel([marked.task_id], "revoked")
            await results.records.revoke([revoked.task_id], "revoked")
        async with durable.results() as results:
            begun = await results.records.start([start(marked), start(revoked)], await lease(results))
            assert begun == [False, False]
            assert (await read(results, revoked)).state == REVOKED


class TestSeveralProcesses:
    async def test_what_one_writes_the_others_read(self, durable: DurableHarness) -> None:
        async with durable.results() as results, elsewhere("results", durable, "create", "there", "10", "1") as process:
            written = await lines(process)
            assert len(written) == 10
            assert {item.state for item in (await results.records.get(written)).values()} == {PENDING}

    async def test_all_may_write_at_once(self, durable: DurableHarness) -> None:
        async with (
            durable.results() as results,
            elsewhere("results", durable, "create", "one", "100", "1") as one,
            elsewhere("results", durable, "create", "two", "100", "1") as two,
        ):
            mine = [record() for _ in range(100)]
            for task in mine:
                await results.records.create([task])
            written = [*await lines(one), *await lines(two), *(task.task_id for task in mine)]
            assert len(await results.records.get(written)) == 300
            feed = await results.records.changes(0)
            assert sorted(change.task_id for change in feed) == sorted(written)
            assert [change.seq for change in feed] == sorted({change.seq for change in feed})

    async def test_a_change_in_another_process_wakes_who_waits_here(self, durable: DurableHarness) -> None:
        async with durable.results() as results, elsewhere("results", durable, "finish") as process:
            assert await line(process) == "ready"
            assert process.stdin
            for _ in range(5):
                (task,) = await created(results, record())
                watch = results.records.watch([task.task_id])
                process.stdin.write(f"{task.task_id}\n".encode())
                while (await read(results, task)).state != SUCCESS:
                    await woken(watch)
                await watch.close()

    async def test_a_letter_from_another_process_wakes_who_waits_here(self, durable: DurableHarness) -> None:
        async with durable.results() as results:
            watch = results.mailbox.watch(WORKER)
            async with elsewhere("results", durable, "send", WORKER) as process:
                while not await results.mailbox.take(WORKER):
                    await woken(watch)
                await process.wait()
            await watch.close()

    async def test_a_killed_process_leaves_what_it_was_answered_and_no_half_batches(
        self, durable: DurableHarness
    ) -> None:
        async with durable.results() as results:
            async with elsewhere("results", durable, "create", "batch", "1000000", "10") as process:
                first = [await line(process) for _ in range(50)]
                process.kill()
                answered = first + await lines(process)
            whole = answered[: len(answered) // 10 * 10]  # the last line may be cut off in its middle
            assert len(await results.records.get(whole)) == len(whole)
            later = [f"batch-{number}" for number in range(len(whole), len(whole) + 30)]
            found = await results.records.get(later)
            assert sorted(found) == sorted(later[: len(found)])
            assert len(found) % 10 == 0
            await created(results, record("after"))

    async def test_the_lease_of_a_killed_process_lapses(self, durable: DurableHarness) -> None:
        async with durable.results() as results:
            async with elsewhere("results", durable, "lease", "1.0") as process:
                own = await line(process)
                assert await results.leases.owner(own) == WORKER
                process.kill()
            async with asyncio.timeout(20):
                while await results.leases.lapsed() != [own]:  # noqa: ASYNC110 - the store does not call when one lapses
                    await asyncio.sleep(0.05)
            assert await results.leases.condemn([own]) == [own]
            assert await results.leases.renew([own], 60) == [own]
