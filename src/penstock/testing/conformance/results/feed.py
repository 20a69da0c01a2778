"""The feed of changes, and watches that sleep until it grows."""

from __future__ import annotations

import asyncio
import json
import statistics
import time

from penstock.core.record import Change, Record
from penstock.core.results import ResultBackend, Watch
from penstock.core.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import (
    BOOM,
    WORKER,
    created,
    delivery,
    ending,
    lease,
    message,
    read,
    record,
    retry,
    start,
)

HOUR = 3600.0
#: far more than any wake-up takes, and far less than a net that catches lost ones
PROMPT = 0.5


async def states(results: ResultBackend, after: int | None = 0) -> list[str]:
    return [line.state for line in await results.records.changes(after)]


class TestFeed:
    async def test_a_tasks_life_is_told_in_order(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(task="größe", queue="q"))
            own = await lease(results)
            await results.records.start([start(task)], own)
            await results.records.progress({task.task_id: b"0.5"}, own)
            await results.records.finish([retry(task)], own)
            await results.records.finish([ending(delivery(task, retries=1))], own)
            lines = await results.records.changes(0)
        assert [line.state for line in lines] == [PENDING, STARTED, "PROGRESS", RETRY, SUCCESS]
        assert {(line.task_id, line.task, line.queue) for line in lines} == {(task.task_id, "größe", "q")}
        assert [line.worker for line in lines] == ["", WORKER, WORKER, WORKER, WORKER]
        assert [line.progress for line in lines] == [None, None, b"0.5", None, None]
        assert all(abs(line.at - harness.now()) < 5 for line in lines)

    async def test_every_other_way_to_change_state_is_told_too(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, two, three = await created(results, record(), record(), record())
            own = await lease(results)
            stand = (await results.records.changes(None))[0].seq
            await results.records.revoke([one.task_id], "revoked")
            await results.records.reopen(one.task_id)
            await results.records.start([start(two), start(three)], own)
            await results.records.put_back({two.task_id: 0}, own)
            await results.leases.close([own])
            lines = await results.records.changes(stand)
        assert [(line.task_id, line.state) for line in lines] == [
            (one.task_id, REVOKED),
            (one.task_id, PENDING),
            (two.task_id, STARTED),
            (three.task_id, STARTED),
            (two.task_id, PENDING),
            (three.task_id, PENDING),
        ]

    async def test_a_batch_is_told_in_its_order(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record() for _ in range(5)))
            ids = [task.task_id for task in tasks]
            await results.records.finish([ending(task) for task in reversed(tasks)], await lease(results))
            lines = await results.records.changes(0)
        assert [line.task_id for line in lines] == ids + ids[::-1]

    async def test_foreign_tasks_are_told_when_they_are_met(self, harness: Harness) -> None:
        async with harness.results() as results:
            own = await lease(results)
            sent = message("t", "theirs.add", queue="their-queue")
            await results.records.start([start(delivery(sent))], own)
            await results.records.finish([ending(delivery(message("u", "theirs.sub")), FAILURE)], own)
            lines = await results.records.changes(0)
        assert [(line.task, line.queue, line.state) for line in lines] == [
            ("theirs.add", "their-queue", STARTED),
            ("theirs.sub", "default", FAILURE),
        ]

    async def test_what_was_refused_or_passed_over_is_not_told(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(confirmed=False, submitter="s"))
            own = await lease(results)
            await results.records.finish([ending(task)], own)
            told = await results.records.changes(0)
            await results.records.create([task])
            await results.records.start([start(task)], own)
            await results.records.finish([ending(task, FAILURE), retry(task)], own)
            await results.records.progress({task.task_id: b"1", "unknown": b"1"}, own)
            await results.records.revoke([task.task_id, "unknown"], "revoked")
            await results.records.put_back({task.task_id: 0}, own)
            assert await results.records.changes(0) == told

    async def test_it_is_read_on_from_a_number(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, *(record() for _ in range(7)))
            whole = await results.records.changes(0)
            seen: list[Change] = []
            while lines := await results.records.changes(seen[-1].seq if seen else 0, limit=3):
                assert len(lines) <= 3
                seen += lines
        assert seen == whole
        assert [line.seq for line in whole] == sorted({line.seq for line in whole})

    async def test_where_it_stands_is_told_by_its_newest_line(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert await results.records.changes(None) == []
            await created(results, record(), record())
            (newest,) = await results.records.changes(None)
            assert newest == (await results.records.changes(0))[-1]
            assert await results.records.changes(newest.seq) == []
            (task,) = await created(results, record())
            assert [line.task_id for line in await results.records.changes(newest.seq)] == [task.task_id]

    async def test_lines_outlive_their_records(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            await results.records.finish([ending(task)], await lease(results))
            await results.records.forget([task.task_id])
            assert await states(results) == [PENDING, SUCCESS]

    async def test_a_reader_who_follows_misses_nothing_that_several_write(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other, harness.results() as reader:
            tasks = [record() for _ in range(60)]

            async def write(results: ResultBackend, share: list[object]) -> None:
                for task in share:
                    await results.records.create([task])  # type: ignore[list-item]

            writers = asyncio.gather(write(one, [*tasks[:30]]), write(other, [*tasks[30:]]))
            seen: list[Change] = []
            async with asyncio.timeout(60):
                while len(seen) < len(tasks):
                    seen += await reader.records.changes(seen[-1].seq if seen else 0, limit=7)
                    await asyncio.sleep(0)
            await writers
        assert {line.task_id for line in seen} == {task.task_id for task in tasks}
        numbers = [line.seq for line in seen]
        assert numbers == sorted(set(numbers))


class TestExcerpts:
    async def test_it_has_the_lines_of_some_tasks_as_the_feed_has_them(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record() for _ in range(6)))
            ids = [tasks[1].task_id, tasks[4].task_id]
            own = await lease(results)
            await results.records.progress({task.task_id: b"0.5" for task in tasks}, own)
            await results.records.finish([ending(task) for task in reversed(tasks)], own)
            whole = await results.records.changes(0)
            found = await results.records.excerpt([*ids, "unknown"], 0)
        assert found.changes == [line for line in whole if line.task_id in ids]
        assert (found.upto, found.lines) == (whole[-1].seq, len(whole))

    async def test_it_is_read_on_from_where_it_ended_whoever_had_the_last_line(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record() for _ in range(7)))
            whole = await results.records.changes(0)
            first = await results.records.excerpt([tasks[1].task_id, tasks[5].task_id], 0, limit=4)
            assert (first.changes, first.upto, first.lines) == ([whole[1]], whole[3].seq, 4)
            rest = await results.records.excerpt({tasks[1].task_id, tasks[5].task_id}, first.upto, limit=4)
            assert (rest.changes, rest.upto, rest.lines) == ([whole[5]], whole[6].seq, 3)
            none = await results.records.excerpt([tasks[0].task_id], rest.upto, limit=4)
            assert (none.changes, none.upto, none.lines) == ([], rest.upto, 0)

    async def test_of_no_task_it_tells_where_the_feed_stands(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert (await results.records.excerpt([], 0)).lines == 0
            await created(results, record(), record())
            found = await results.records.excerpt([], 0)
            (newest,) = await results.records.changes(None)
        assert (found.changes, found.upto, found.lines) == ([], newest.seq, 2)

    async def test_of_a_thousand_tasks_among_a_thousand(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record() for _ in range(500)))
            others = {f"other-{number}" for number in range(1000)}
            found = await results.records.excerpt(others | {task.task_id for task in tasks[::2]}, 0)
        assert [line.task_id for line in found.changes] == [task.task_id for task in tasks[::2]]
        assert found.lines == 500

    async def test_a_reader_who_follows_some_tasks_misses_nothing_that_several_write(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other, harness.results() as reader:
            tasks = [record() for _ in range(60)]
            wanted = {task.task_id for task in tasks[::3]}

            async def write(results: ResultBackend, share: list[Record]) -> None:
                for task in share:
                    await results.records.create([task])

            writers = asyncio.gather(write(one, tasks[:30]), write(other, tasks[30:]))
            seen: list[Change] = []
            after = 0
            async with asyncio.timeout(60):
                while len(seen) < len(wanted):
                    found = await reader.records.excerpt(wanted, after, limit=7)
                    seen += found.changes
                    after = found.upto
                    await asyncio.sleep(0)
            await writers
        assert {line.task_id for line in seen} == wanted
        numbers = [line.seq for line in seen]
        assert numbers == sorted(set(numbers))


class TestTheFeedsTail:
    async def test_a_line_is_kept_for_an_hour_and_swept_later(self, harness: Harness) -> None:
        async with harness.results() as results:
            old = await created(results, record(), record())
            await harness.elapse(HOUR / 2)
            (young,) = await created(results, record())
            await harness.elapse(HOUR / 2 - 60)
            await results.keys.sweep()
            assert len(await results.records.changes(0)) == 3
            await harness.elapse(120)
            assert await results.keys.sweep() == 2
            assert [line.task_id for line in await results.records.changes(0)] == [young.task_id]
            assert len(await results.records.get([task.task_id for task in old])) == 2

    async def test_where_it_stands_is_known_however_long_nothing_happened(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record(), record())
            (newest,) = await results.records.changes(None)
            await harness.elapse(2 * HOUR)
            await results.keys.sweep()
            assert await results.records.changes(None) == [newest]
            await created(results, record())
            (line,) = await results.records.changes(newest.seq)
            assert line.seq > newest.seq

    async def test_it_goes_in_portions(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, *(record() for _ in range(8)))
            await harness.elapse(2 * HOUR)
            assert await results.keys.sweep(limit=5) == 5
            assert await results.keys.sweep(limit=5) == 2
            assert await results.keys.sweep(limit=5) == 0


async def woken(watch: Watch) -> float:
    """Wait for a wake-up; how many seconds it took."""
    began = time.monotonic()
    assert await watch.wait(20)
    return time.monotonic() - began


class TestWatching:
    async def test_a_change_wakes_who_waits(self, harness: Harness) -> None:
        async with harness.results() as results, harness.results() as other:
            (task,) = await created(results, record())
            own = await lease(results)
            watch = results.records.watch([task.task_id])
            waits = asyncio.create_task(woken(watch))
            await asyncio.sleep(0)
            await other.records.finish([ending(task)], own)
            await waits
            await watch.close()

    async def test_a_change_before_the_wait_is_not_missed(self, harness: Harness) -> None:
        async with harness.results() as results, harness.results() as other:
            own = await lease(results)
            took = []
            for _ in range(9):
                (task,) = await created(results, record())
                watch = results.records.watch([task.task_id])
                await other.records.finish([ending(task)], own)
                took.append(await woken(watch))
                await watch.close()
            assert statistics.median(took) < PROMPT

    async def test_one_watch_serves_many_changes(self, harness: Harness) -> None:
        async with harness.results() as results, harness.results() as other:
            (task,) = await created(results, record())
            own = await lease(results)
            watch = results.records.watch([task.task_id])
            took = []
            for turn in range(9):
                report = json.dumps(turn).encode()
                await other.records.progress({task.task_id: report}, own)
                while (await read(results, task)).progress != report:
                    await woken(watch)
                took.append(await woken(watch))
            await watch.close()
            assert statistics.median(took) < PROMPT

    async def test_every_kind_of_change_wakes(self, harness: Harness) -> None:
        async with harness.results() as results, harness.results() as other:
            (task,) = await created(results, record())
            own = await lease(results)
            changes = [
                other.records.start([start(task)], own),
                other.records.progress({task.task_id: b"1"}, own),
                other.records.put_back({task.task_id: 0}, own),
                other.records.finish([retry(task)], own),
                other.records.revoke([task.task_id], "revoked"),
                other.records.reopen(task.task_id),
            ]
            for change in changes:
                watch = results.records.watch([task.task_id])
                await change
                await woken(watch)
                await watch.close()

    async def test_the_whole_feed_can_be_watched(self, harness: Harness) -> None:
        async with harness.results() as results, harness.results() as other:
            watch = results.records.watch()
            seen: list[Change] = []
            tasks = [record() for _ in range(20)]

            async def follow() -> None:
                while len(seen) < len(tasks):
                    lines = await results.records.changes(seen[-1].seq if seen else 0)
                    seen.extend(lines)
                    if not lines:
                        await woken(watch)

            following = asyncio.create_task(follow())
            for task in tasks:
                await other.records.create([task])
                await asyncio.sleep(0)
            async with asyncio.timeout(20):
                await following
            await watch.close()
        assert [line.task_id for line in seen] == [task.task_id for task in tasks]

    async def test_many_may_wait_at_once(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record() for _ in range(30)))
            own = await lease(results)
            watches = [results.records.watch([task.task_id]) for task in tasks]

            async def ended(task_id: str, watch: Watch) -> str:
                while (await read(results, task_id)).state == PENDING:
                    await woken(watch)
                return (await read(results, task_id)).state

            waiting = [
                asyncio.create_task(ended(task.task_id, watch)) for task, watch in zip(tasks, watches, strict=True)
            ]
            await asyncio.sleep(0)
            await results.records.finish(
                [ending(task, FAILURE, result=json.dumps(BOOM).encode()) for task in tasks], own
            )
            async with asyncio.timeout(20):
                assert await asyncio.gather(*waiting) == [FAILURE] * 30
            for watch in watches:
                await watch.close()

    async def test_a_wait_ends_with_its_time(self, harness: Harness) -> None:
        async with harness.results() as results:
            watch = results.records.watch()
            async with asyncio.timeout(20):
                while await watch.wait(0.01):
                    pass
            await watch.close()

    async def test_closing_twice_is_fine(self, harness: Harness) -> None:
        async with harness.results() as results:
            watch = results.records.watch(["t"])
            await watch.close()
            await watch.close()
