"""Steps committed together stand or fall together; calls that merely meet stand or fall alone."""

from __future__ import annotations

import asyncio

import pytest

from penstock.core.step import commit
from penstock.testing.conformance.broker.harness import Harness
from penstock.testing.conformance.broker.samples import consumer, depth, fetch, names, nothing, task, tasks, told


class TestCommits:
    async def test_a_failing_step_undoes_what_was_published_with_it(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("there"))
            with pytest.raises(LookupError):
                await commit(broker.publish(tasks("1 2")), harness.failing(broker), broker.publish(tasks("3")))
            assert names(await fetch(taker)) == "there"
            assert await nothing(harness, taker)

    async def test_a_failing_step_leaves_deliveries_claimed(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2"))
            one, two = await fetch(taker)
            with pytest.raises(LookupError):
                await commit(taker.settle([one]), taker.hand_back([two]), harness.failing(broker))
            assert told((await depth(broker)).claimed, 2)
            await commit(taker.settle([one]), taker.hand_back([two]))
            assert names(await fetch(taker)) == "2"

    async def test_every_kind_of_change_is_undone(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish([*tasks("1 2 3"), task("later", due=harness.now() + 100), *tasks("4", queue="other")])
            await fetch(taker, 1)
            before = await broker.depth()
            with pytest.raises(LookupError):
                await commit(
                    broker.release(["lease"]),
                    broker.withdraw("2"),
                    broker.purge("other"),
                    broker.purge("default"),
                    broker.pause("default", True),
                    broker.publish(tasks("5", queue="new")),
                    harness.failing(broker),
                )
            assert await broker.depth() == before
            assert sorted(names(await fetch(taker)).split()) == ["2", "3"]

    async def test_the_order_is_as_before_after_an_undone_change(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            await broker.publish(tasks("1 2 3"))
            with pytest.raises(LookupError):
                await commit(broker.withdraw("1"), broker.publish(tasks("4", priority=9)), harness.failing(broker))
            await broker.publish(tasks("5"))
            assert names(await fetch(taker)) == "1 2 3 5"

    async def test_steps_see_what_earlier_ones_did(self, searchable: Harness) -> None:
        async with searchable.broker() as broker:
            answers = await commit(broker.publish(tasks("1 2")), broker.withdraw("1"), broker.purge("default"))
            assert answers[1].removed == 1
            assert answers[2] == ["2"]

    async def test_calls_at_the_same_time_stand_or_fall_alone(self, harness: Harness) -> None:
        async with harness.broker() as broker, consumer(broker) as taker:
            answers = await asyncio.gather(
                commit(broker.publish(tasks("1"))),
                commit(broker.publish(tasks("2")), harness.failing(broker)),
                commit(broker.publish(tasks("3"))),
                commit(harness.failing(broker)),
                commit(broker.publish(tasks("4"))),
                return_exceptions=True,
            )
            assert [type(answer) for answer in answers] == [list, LookupError, list, LookupError, list]
            assert sorted(names(await fetch(taker)).split()) == ["1", "3", "4"]

    async def test_many_callers_at_once_are_all_served(self, harness: Harness) -> None:
        async with harness.broker() as one, harness.broker() as other:
            await asyncio.gather(*(commit((one, other)[turn % 2].publish([task()])) for turn in range(300)))
            assert (await depth(one)).ready == 300
