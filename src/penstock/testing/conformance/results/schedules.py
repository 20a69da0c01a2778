"""Schedules: what every scheduler shares of when which task is due."""

from __future__ import annotations

import asyncio

from penstock.core.results import ResultBackend
from penstock.core.schedule import Schedule, ScheduleEntry
from penstock.testing.conformance.results.harness import Harness


def every(seconds: float, name: str = "tick", task: str = "add", **given: object) -> Schedule:
    return Schedule(name=name, task=task, every=seconds, **given)  # type: ignore[arg-type]


async def entry(results: ResultBackend, name: str = "tick") -> ScheduleEntry:
    return {each.schedule.name: each for each in await results.schedules.all()}[name]


def near(one: float, other: float) -> bool:
    return abs(one - other) < 5


class TestSyncing:
    async def test_an_entry_is_what_the_code_says(self, harness: Harness) -> None:
        schedule = Schedule(
            name="größe", task="add", args=(1, "ü"), kwargs={"x": [1, None]}, cron="*/5 * * * *",
            timezone="Europe/Zurich", missed="all", options={"queue": "q", "priority": 3},
        )  # fmt: skip
        async with harness.results() as results, harness.results() as other:
            await results.schedules.sync("shop", [schedule])
            (found,) = await other.schedules.all()
        assert (found.schedule, found.app) == (schedule, "shop")
        assert near(found.next_due, schedule.first_due(harness.now())) or found.next_due % 300 == 0
        assert (found.paused, found.last_due, found.last_task_id, found.fired) == (False, None, "", 0)

    async def test_new_ones_get_their_first_due_time(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(1000)])
            assert near((await entry(results)).next_due, harness.now() + 1000)

    async def test_unchanged_ones_stay_as_they_are(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(1000)])
            first = await entry(results)
            await results.schedules.advance("tick", first.next_due, first.next_due + 1000, "id")
            advanced = await entry(results)
            await harness.elapse(0.3)
            await results.schedules.sync("shop", [every(1000)])
            assert await entry(results) == advanced

    async def test_changed_ones_get_a_new_due_time_and_keep_their_past(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(1000)])
            first = await entry(results)
            await results.schedules.advance("tick", first.next_due, first.next_due + 1000, "id")
            await results.schedules.sync("shop", [every(50)])
            now = await entry(results)
        assert now.schedule == every(50)
        assert near(now.next_due, harness.now() + 50)
        assert (now.last_due, now.last_task_id, now.fired) == (first.next_due, "id", 1)

    async def test_paused_ones_stay_paused_also_when_changed(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(1000)])
            await results.schedules.pause("tick", True)
            for seconds in (1000, 50):
                await results.schedules.sync("shop", [every(seconds)])
                assert (await entry(results)).paused

    async def test_those_that_the_code_no_longer_has_disappear(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(10, "a"), every(10, "b")])
            await results.schedules.sync("other", [every(10, "c")])
            await results.schedules.sync("shop", [every(10, "b")])
            assert [each.schedule.name for each in await results.schedules.all()] == ["b", "c"]
            await results.schedules.sync("shop", [])
            assert [each.schedule.name for each in await results.schedules.all()] == ["c"]

    async def test_a_name_belongs_to_the_app_that_declared_it_last(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("old", [every(10)])
            await results.schedules.sync("new", [every(10)])
            await results.schedules.sync("old", [])
            assert (await entry(results)).app == "new"

    async def test_several_who_sync_at_once_leave_one_entry(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            await asyncio.gather(*((one, other)[turn % 2].schedules.sync("shop", [every(10)]) for turn in range(10)))
            assert len(await one.schedules.all()) == 1


class TestFiring:
    async def test_due_ones_are_told_and_when_the_next_will_be(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(0.2, "soon"), every(1000, "late"), every(2000, "later")])
            await results.schedules.sync("other", [every(0.1, "theirs")])
            assert await results.schedules.due(["shop"]) == ([], (await entry(results, "soon")).next_due)
            await harness.elapse(0.3)
            due, upcoming = await results.schedules.due(["shop"])
            assert ([each.schedule.name for each in due], upcoming) == (
                ["soon"],
                (await entry(results, "late")).next_due,
            )
            assert due == [await entry(results, "soon")]
            both, _ = await results.schedules.due(["shop", "other"])
            assert sorted(each.schedule.name for each in both) == ["soon", "theirs"]

    async def test_nothing_is_due_where_there_is_nothing(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert await results.schedules.due(["shop"]) == ([], None)
            await results.schedules.sync("shop", [every(0.1)])
            assert await results.schedules.due([]) == ([], None)

    async def test_paused_ones_are_not_due_and_not_awaited(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(0.2)])
            await results.schedules.pause("tick", True)
            await harness.elapse(0.3)
            assert await results.schedules.due(["shop"]) == ([], None)

    async def test_an_entry_moves_on_and_remembers_what_was_fired(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(1000)])
            due = (await entry(results)).next_due
            assert await results.schedules.advance("tick", due, due + 1000, "task-1")
            now = await entry(results)
        assert (now.next_due, now.last_due, now.last_task_id, now.fired) == (due + 1000, due, "task-1", 1)

    async def test_a_due_time_that_was_passed_over_is_not_fired(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(1000)])
            due = (await entry(results)).next_due
            await results.schedules.advance("tick", due, due + 1000, "task-1")
            assert await results.schedules.advance("tick", due + 1000, due + 2000)
            now = await entry(results)
        assert (now.next_due, now.last_due, now.last_task_id, now.fired) == (due + 2000, due, "task-1", 1)

    async def test_a_due_time_is_advanced_once(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            await one.schedules.sync("shop", [every(1000)])
            due = (await entry(one)).next_due
            moved = await asyncio.gather(
                *((one, other)[turn % 2].schedules.advance("tick", due, due + 1000, str(turn)) for turn in range(10))
            )
            assert sum(moved) == 1
            assert (await entry(one)).fired == 1
            assert not await one.schedules.advance("unknown", due, due + 1)


class TestPausing:
    async def test_pausing_is_seen_and_survives(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            await one.schedules.sync("shop", [every(1000)])
            assert await one.schedules.pause("tick", True)
            assert (await entry(other)).paused
            assert await other.schedules.pause("tick", True)
            assert not await one.schedules.pause("unknown", True)

    async def test_a_resumed_entry_is_due_from_now_on(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(0.5)])
            await results.schedules.pause("tick", True)
            paused = await entry(results)
            await harness.elapse(1)
            assert await results.schedules.pause("tick", False)
            resumed = await entry(results)
        assert not resumed.paused
        assert resumed.next_due >= paused.next_due + 0.9

    async def test_resuming_what_is_not_paused_changes_nothing(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.schedules.sync("shop", [every(1000)])
            before = await entry(results)
            await harness.elapse(0.3)
            assert await results.schedules.pause("tick", False)
            assert await entry(results) == before


class TestWatchingSchedules:
    async def test_a_watch_wakes_when_an_entry_comes_to_be_or_is_paused_or_resumed(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            watch = one.schedules.watch()
            try:
                await other.schedules.sync("shop", [every(1000)])
                assert await watch.wait(0.8)  # a store may notice any change after a second
                for paused in (True, False):
                    await other.schedules.pause("tick", paused)
                    assert await watch.wait(0.8)
            finally:
                await watch.close()
