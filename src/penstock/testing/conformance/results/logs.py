"""The last log lines of tasks: bounded, in order, told in the feed, and gone with their records."""

from __future__ import annotations

from penstock.core.record import LogPiece
from penstock.core.states import SUCCESS
from penstock.core.step import commit
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import NOON, created, delivery, ending, lease, record

PLENTY = 1_000_000
DAY = 86_400.0


def piece(task_id: str, number: int, lines: bytes = b'[{"text":"x"}]') -> LogPiece:
    return LogPiece(task_id, number, lines)


class TestLogs:
    async def test_pieces_are_read_in_the_order_of_writing(self, harness: Harness) -> None:
        first, second = 1_900_000_000_000_000_000, 1_900_000_000_000_000_001
        async with harness.results() as results:
            one, other = await created(results, record(), record())
            later, earlier = (
                piece(one.task_id, second),
                piece(one.task_id, first, '["größe \\u0000 \\u001b[31m"]'.encode()),
            )
            assert await results.logs.add([later, piece(other.task_id, 5)], PLENTY, tell=False) == []
            assert await results.logs.add([earlier], PLENTY, tell=False) == []
            assert await results.logs.of_task(one.task_id) == [earlier, later]
            assert await results.logs.of_task(other.task_id) == [piece(other.task_id, 5)]
            assert await results.logs.of_task("nobody") == []

    async def test_the_same_piece_again_is_passed_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            for _ in range(2):
                await results.logs.add([piece(task.task_id, 1), piece(task.task_id, 2)], PLENTY, tell=False)
            assert [each.number for each in await results.logs.of_task(task.task_id)] == [1, 2]

    async def test_of_each_task_the_newest_stay(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, other = await created(results, record(), record())
            many = [piece(one.task_id, number, b"x" * 300) for number in range(10)]
            await results.logs.add([*many[:6], piece(other.task_id, 1, b"y" * 900)], 1000, tell=False)
            assert [each.number for each in await results.logs.of_task(one.task_id)] == [3, 4, 5]
            await results.logs.add(many[6:], 1000, tell=False)
            assert await results.logs.of_task(one.task_id) == many[7:]
            assert len(await results.logs.of_task(other.task_id)) == 1

    async def test_the_newest_stays_whatever_its_size(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            large = piece(task.task_id, 2, b"x" * 70_000)
            await results.logs.add([piece(task.task_id, 1), large], 1000, tell=False)
            assert await results.logs.of_task(task.task_id) == [large]

    async def test_who_has_no_record_is_named_and_leaves_nothing(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            given = [piece("nobody", 1), piece("nobody", 2), piece(task.task_id, 1)]
            assert await results.logs.add(given, PLENTY, tell=True) == ["nobody"]
            await created(results, record("nobody"))
            assert await results.logs.of_task("nobody") == []
            assert len(await results.logs.of_task(task.task_id)) == 1

    async def test_the_feed_tells_of_it_where_that_is_wanted(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(task="größe", queue="q"))
            stand = (await results.records.changes(None))[0].seq
            await results.logs.add([piece(task.task_id, 1)], PLENTY, tell=False)
            assert await results.records.changes(stand) == []
            watch = results.records.watch([task.task_id])
            await results.logs.add([piece(task.task_id, 2), piece(task.task_id, 3)], PLENTY, tell=True)
            assert await watch.wait(10)
            await watch.close()
            (line,) = await results.records.changes(stand)
        assert (line.task_id, line.task, line.queue, line.state) == (task.task_id, "größe", "q", "LOG")

    async def test_they_are_written_with_the_ending_that_adopts_a_task(self, harness: Harness) -> None:
        async with harness.results() as results:
            stranger, own = record(), await lease(results)
            ends = results.records.finish([ending(delivery(stranger))], own)
            await commit(ends, results.logs.add([piece(stranger.task_id, 1)], PLENTY, tell=False))
            assert len(await results.logs.of_task(stranger.task_id)) == 1

    async def test_they_go_with_the_record(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record(state=SUCCESS, finished_at=NOON) for _ in range(3)))
            for task in tasks:
                await results.logs.add([piece(task.task_id, 1)], PLENTY, tell=False)
            assert await results.records.forget([tasks[0].task_id]) == 1
            assert await results.logs.of_task(tasks[1].task_id)
            assert await results.records.prune(DAY, 1_000) == 2
            await created(results, *(record(task.task_id) for task in tasks))
            assert [await results.logs.of_task(task.task_id) for task in tasks] == [[], [], []]
