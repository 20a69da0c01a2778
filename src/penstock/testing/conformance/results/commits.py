"""Steps committed together stand or fall together; calls that merely meet stand or fall alone."""

from __future__ import annotations

import asyncio

import pytest

from penstock.core.errors import Conflict, LeaseLost, NotFound, TaskIdTaken
from penstock.core.states import FAILURE, PENDING, SUCCESS
from penstock.core.step import commit
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import (
    NOON,
    created,
    ending,
    lease,
    letter,
    read,
    record,
    start,
    worker,
)


class TestCommits:
    async def test_the_answers_come_in_order(self, harness: Harness) -> None:
        task = record()
        async with harness.results() as results:
            answers = await commit(
                results.records.create([task]),
                results.records.check([task.task_id]),
                results.keys.add("k", b"1", 60),
                results.keys.get("k"),
            )
        assert answers[0] is None
        assert answers[1][task.task_id].state == PENDING
        assert answers[2:] == [None, b"1"]

    async def test_a_dead_lease_refuses_everything_that_was_committed_with_the_ending(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, two = await created(results, record(), record())
            fresh = record()
            with pytest.raises(LeaseLost):
                await commit(
                    results.keys.put("before", b"1", 60),
                    results.records.create([fresh]),
                    results.records.cancel([two.task_id], "revoked"),
                    results.dead.add([letter("d")]),
                    results.records.finish([ending(one)], "dead"),
                    results.keys.put("after", b"1", 60),
                )
            assert await results.keys.get("before") is None
            assert await results.keys.get("after") is None
            assert await results.records.get([fresh.task_id]) == {}
            assert await results.dead.get("d") is None
            assert (await read(results, one), await read(results, two)) == (one, two)
            feed = await results.records.changes(0)
            assert [line.task_id for line in feed] == [one.task_id, two.task_id]

    async def test_a_taken_id_undoes_what_went_before(self, harness: Harness) -> None:
        async with harness.results() as results:
            (taken,) = await created(results, record())
            own = await lease(results)
            fresh = record()
            with pytest.raises(TaskIdTaken):
                await commit(
                    results.records.finish([ending(taken)], own),
                    results.keys.put("k", b"new", 60),
                    results.records.create([fresh]),
                    results.records.create([taken]),
                )
            assert await read(results, taken) == taken
            assert await results.keys.get("k") is None
            assert await results.records.get([fresh.task_id]) == {}

    async def test_every_kind_of_change_is_undone(self, harness: Harness) -> None:
        async with harness.results() as results:
            waits, runs, ended = await created(
                results, record(), record(), record(state=FAILURE, finished_at=NOON, confirmed=False)
            )
            own = await lease(results)
            await results.records.start([start(runs)], own)
            await results.keys.put("k", b"old", 60)
            await results.keys.lock("l", "me", 60)
            await results.workers.register(worker(), 60)
            before = await results.records.get([waits.task_id, runs.task_id, ended.task_id])
            feed = await results.records.changes(0)
            with pytest.raises(NotFound):
                await commit(
                    results.records.progress({runs.task_id: b"0.5"}, own),
                    results.records.charge({waits.task_id: 4}),
                    results.records.revoke([waits.task_id], "revoked"),
                    results.records.confirm([ended.task_id]),
                    results.records.forget([ended.task_id]),
                    results.leases.close([own]),
                    results.workers.leave(worker().name),
                    results.keys.swap("k", b"old", b"new", 60),
                    results.keys.unlock("l", "me"),
                    results.keys.delete("k"),
                    results.records.reopen("unknown"),
                )
            assert await results.records.get(list(before)) == before
            assert await results.records.changes(0) == feed
            assert await results.leases.owner(own) is not None
            assert [each.name for each in await results.workers.all()] == [worker().name]
            assert await results.keys.get("k") == b"old"
            assert not await results.keys.lock("l", "you", 60)

    async def test_calls_at_the_same_time_stand_or_fall_alone(self, harness: Harness) -> None:
        async with harness.results() as results:
            (taken,) = await created(results, record())
            fresh = [record() for _ in range(5)]
            own = await lease(results)
            answers = await asyncio.gather(
                results.records.create([fresh[0]]),
                results.records.create([taken]),
                commit(results.records.create([fresh[1]]), results.records.reopen(taken.task_id)),
                results.records.finish([ending(taken)], "dead"),
                results.records.create([fresh[2]]),
                results.records.finish([ending(taken)], own),
                return_exceptions=True,
            )
            kinds = [type(answer) for answer in answers]
            assert kinds == [type(None), TaskIdTaken, Conflict, LeaseLost, type(None), list]
            found = await results.records.get([each.task_id for each in fresh])
            assert set(found) == {fresh[0].task_id, fresh[2].task_id}
            assert (await read(results, taken)).state == SUCCESS

    async def test_many_callers_at_once_are_all_served(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            tasks = [record() for _ in range(200)]
            await asyncio.gather(*((one, other)[turn % 2].records.create([task]) for turn, task in enumerate(tasks)))
            assert len(await one.records.get([task.task_id for task in tasks])) == 200

    async def test_an_answer_of_the_back_end_means_that_it_can_be_written(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.ping()

    async def test_opening_and_closing_twice_is_fine(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.open()
            await created(results, record("t"))
            await results.close()
            await results.close()
