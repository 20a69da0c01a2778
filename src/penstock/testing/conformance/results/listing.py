"""Records are listed and counted: page and count with every filter, and walks by cursor that stay right."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.core import search
from penstock.core.record import Filter, Page, Record, Tally
from penstock.core.results import ResultBackend
from penstock.core.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import NOON, created, ending, lease, record, start

ANY = Filter()


async def walk(results: ResultBackend, which: Filter = ANY, limit: int = 3) -> list[str]:
    """The ids of a whole walk by cursor."""
    seen: list[str] = []
    page = await results.records.page(which, limit)
    while True:
        seen += ids(page)
        if page.next is None:
            return seen
        assert len(page.items) == limit
        page = await results.records.page(which, limit, page.next)


def ids(page: Page) -> list[str]:
    return [item.task_id for item in page.items]


def among(field: str, *values: str) -> Filter:
    given: dict[str, Any] = {field: values}
    return Filter(**given)


def newest_first(*records: Record) -> list[str]:
    return [each.task_id for each in reversed(records)]


class TestPaging:
    async def test_records_come_newest_first_and_whole(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, record(args=["ü"]), record(state=FAILURE, result=b"1"), record())
            page = await results.records.page(ANY, 10)
            assert page == Page(list(reversed(tasks)), None)

    async def test_an_empty_store_has_an_empty_page(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert await results.records.page(ANY, 10) == Page([], None)

    @pytest.mark.parametrize("count", [2, 3, 4, 6, 7])
    async def test_a_walk_sees_every_record_once(self, harness: Harness, count: int) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record() for _ in range(count)))
            assert await walk(results) == newest_first(*tasks)

    async def test_records_of_any_id_are_walked_in_the_order_of_their_coming(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks: list[Record] = []
            for task_id in ("m", "z", "a", "ü", "0"):
                tasks += await created(results, record(task_id))
            assert await walk(results, limit=2) == newest_first(*tasks)

    async def test_a_walk_is_not_disturbed_by_tasks_that_arrive(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record() for _ in range(9)))
            seen: list[str] = []
            cursor = None
            while True:
                page = await results.records.page(ANY, 2, cursor)
                seen += ids(page)
                cursor = page.next
                if cursor is None:
                    break
                await created(results, record(), record())
            assert seen == newest_first(*tasks)

    async def test_a_walk_is_not_disturbed_by_records_that_are_deleted(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record(state=SUCCESS, finished_at=NOON) for _ in range(9)))
            first = await results.records.page(ANY, 3)
            gone = [tasks[index].task_id for index in (8, 6, 5, 2)]  # two seen ones, the cursor's own, and one to come
            await results.records.forget(gone)
            rest = await results.records.page(ANY, 10, first.next)
            assert ids(rest) == [tasks[index].task_id for index in (4, 3, 1, 0)]

    async def test_a_walk_goes_on_when_the_newest_is_deleted_and_others_arrive(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record(confirmed=False) for _ in range(4)))
            first = await results.records.page(ANY, 2)
            await results.records.discard(ids(first))
            await created(results, record(), record(), record())
            rest = await results.records.page(ANY, 10, first.next)
            assert ids(rest) == newest_first(*tasks[:2])

    async def test_a_walk_is_not_disturbed_by_changes_of_state(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record() for _ in range(6)))
            first = await results.records.page(ANY, 2)
            await results.records.finish([ending(task) for task in tasks], await lease(results))
            assert ids(await results.records.page(ANY, 10, first.next)) == newest_first(*tasks[:4])

    @pytest.mark.parametrize("cursor", ["", "nonsense", "-1", "1.5", "٣", "1 OR 1=1", "9" * 400, "\0"])
    async def test_what_is_no_cursor_is_refused(self, harness: Harness, cursor: str) -> None:
        async with harness.results() as results:
            await created(results, record())
            with pytest.raises(ValueError, match="cursor"):
                await results.records.page(ANY, 10, cursor)


class TestFilters:
    @pytest.mark.parametrize(
        ("field", "values"),
        [
            ("states", {"state": [PENDING, SUCCESS, REVOKED]}),
            ("tasks", {"task": ["add", "aufgabe.größe", "sub"]}),
            ("queues", {"queue": ["default", "größe", "other"]}),
            ("workers", {"worker": ["w1@host", "größe@host", ""]}),
        ],
    )
    async def test_a_field_is_one_of_those_given(
        self, harness: Harness, field: str, values: dict[str, list[str]]
    ) -> None:
        ((name, (first, second, third)),) = values.items()
        async with harness.results() as results:
            tasks = await created(
                results, *(record(**{name: value}) for value in (first, second, third, second, first))
            )
            one, two, _, four, five = tasks
            only, both = among(field, second), among(field, first, second)
            assert await walk(results, only, 1) == newest_first(two, four)
            assert await walk(results, both, 1) == newest_first(one, two, four, five)
            assert await walk(results, both, 10) == newest_first(one, two, four, five)
            assert await walk(results, among(field, "unknown")) == []
            assert await walk(results, among(field)) == newest_first(*tasks)
            assert (await results.records.count(only), await results.records.count(both)) == (2, 4)

    async def test_states_follow_the_task(self, harness: Harness) -> None:
        async with harness.results() as results:
            waits, runs, ended = await created(results, record(), record(), record())
            own = await lease(results)
            await results.records.start([start(runs), start(ended)], own)
            await results.records.finish([ending(ended)], own)
            assert await walk(results, Filter(states=[PENDING])) == [waits.task_id]
            assert await walk(results, Filter(states=[STARTED])) == [runs.task_id]
            assert await walk(results, Filter(states=[SUCCESS])) == [ended.task_id]
            assert await walk(results, Filter(workers=["w1@host"])) == newest_first(runs, ended)

    async def test_since_and_until_bound_the_creation(self, harness: Harness) -> None:
        async with harness.results() as results:
            early, noon, late = await created(
                results, record(created_at=NOON - 1), record(created_at=NOON), record(created_at=NOON + 1)
            )
            assert await walk(results, Filter(since=NOON)) == newest_first(noon, late)
            assert await walk(results, Filter(until=NOON)) == [early.task_id]
            assert await walk(results, Filter(since=NOON, until=NOON + 1)) == [noon.task_id]
            assert await results.records.count(Filter(since=NOON)) == 2

    async def test_those_that_are_to_wait_for_a_time(self, harness: Harness) -> None:
        async with harness.results() as results:
            _, near, far = await created(results, record(), record(eta=NOON + 5), record(eta=NOON + 50))
            assert await walk(results, Filter(due_after=NOON)) == [far.task_id, near.task_id]
            assert await walk(results, Filter(due_after=NOON + 5)) == [far.task_id]
            assert await results.records.count(Filter(states=[PENDING], due_after=NOON + 5)) == 1

    async def test_those_that_are_free_to_run_by_a_time(self, harness: Harness) -> None:
        async with harness.results() as results:
            free, near, _ = await created(results, record(), record(eta=NOON + 5), record(eta=NOON + 50))
            assert await walk(results, Filter(due_by=NOON)) == [free.task_id]
            assert await walk(results, Filter(due_by=NOON + 5)) == [near.task_id, free.task_id]
            assert await results.records.count(Filter(states=[PENDING], due_by=NOON + 5)) == 2

    async def test_those_that_were_cancelled_and_whose_message_did_not_turn_up(self, harness: Harness) -> None:
        async with harness.results() as results:
            _, gone, left = await created(results, record(), record(), record())
            cancelled = [gone.task_id, left.task_id]
            await results.records.cancel(cancelled, "revoked")
            await results.records.revoke(cancelled, "revoked")
            ended = Filter(states=[REVOKED], unconfirmed=True)
            assert await walk(results, ended) == cancelled[::-1]
            await results.records.confirm([gone.task_id])
            assert await walk(results, ended) == [left.task_id]
            assert await results.records.count(ended) == 1
            assert await results.records.count(Filter(states=[PENDING], unconfirmed=True)) == 0

    async def test_the_oldest_of_them(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, record(queue="b", created_at=NOON), record(queue="a", created_at=NOON + 1))
            await created(results, record(queue="a", created_at=NOON + 2, state=RETRY))
            oldest = results.records.oldest
            assert await oldest(Filter()) == NOON
            assert await oldest(Filter(states=[PENDING, RETRY], queues=["a"])) == NOON + 1
            assert await oldest(Filter(states=[RETRY])) == NOON + 2
            assert await oldest(Filter(states=[STARTED])) is None

    async def test_every_given_field_must_match(self, harness: Harness) -> None:
        async with harness.results() as results:
            right = record(task="a", queue="q", state=RETRY, worker="w", args=["needle"], created_at=NOON)
            others = [
                record(task="b", queue="q", state=RETRY, worker="w", args=["needle"], created_at=NOON),
                record(task="a", queue="r", state=RETRY, worker="w", args=["needle"], created_at=NOON),
                record(task="a", queue="q", state=STARTED, worker="w", args=["needle"], created_at=NOON),
                record(task="a", queue="q", state=RETRY, worker="v", args=["needle"], created_at=NOON),
                record(task="a", queue="q", state=RETRY, worker="w", args=["hay"], created_at=NOON),
                record(task="a", queue="q", state=RETRY, worker="w", args=["needle"], created_at=NOON - 10),
                record(task="a", queue="q", state=RETRY, worker="w", args=["needle"], created_at=NOON + 10),
            ]
            await created(results, *others[:4], right, *others[4:])
            which = Filter(
                states=[RETRY, SUCCESS],
                tasks=["a"],
                queues=["q"],
                workers=["w"],
                text="needle",
                since=NOON - 5,
                until=NOON + 5,
            )
            assert await walk(results, which) == [right.task_id]
            assert await results.records.tally(which) == Tally(1, None)


class TestStretches:
    """No read looks at more than a stretch, however few match."""

    async def test_a_page_that_is_not_full_leads_on_from_where_it_has_looked(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "FAR", 4)
        wanted = Filter(queues=["b"])
        async with harness.results() as results:
            given = [record(f"t{n}", queue="b" if n in {1, 2, 6} else "a", created_at=NOON + n) for n in range(9)]
            await created(results, *given)
            first = await results.records.page(wanted, 50)
            assert (ids(first), first.reached) == (["t6"], NOON + 5)
            second = await results.records.page(wanted, 50, first.next)
            assert (ids(second), second.reached) == (["t2", "t1"], NOON + 1)
            assert await results.records.page(wanted, 50, second.next) == Page([], None)
            one = await results.records.page(wanted, 1, first.next)
            assert (ids(one), one.reached) == (["t2"], None)
            assert await results.records.tally(wanted) == Tally(1, first.next, NOON + 5)
            assert await results.records.tally(wanted, first.next) == Tally(2, second.next, NOON + 1)
            assert await results.records.tally(wanted, second.next) == Tally(0, None)

    async def test_a_stretch_of_a_state_is_one_of_those_in_it(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "FAR", 2)
        wanted = Filter(states=[FAILURE], queues=["b"])
        async with harness.results() as results:
            for n in range(12):
                state = FAILURE if n in {1, 4, 8, 10} else PENDING
                await created(results, record(f"t{n}", queue="b" if n == 1 else "a", created_at=NOON + n, state=state))
            first = await results.records.page(wanted, 50)
            assert (ids(first), first.reached) == ([], NOON + 8)
            assert await results.records.tally(wanted) == Tally(0, first.next, NOON + 8)
            assert ids(await results.records.page(wanted, 50, first.next)) == ["t1"]
            assert (await results.records.tally(wanted, first.next)).number == 1

    @pytest.mark.parametrize("far", [1, 3, 7, 100])
    @pytest.mark.parametrize("states", [(), (PENDING,), (FAILURE,), (FAILURE, RETRY), (PENDING, FAILURE, REVOKED)])
    async def test_walks_and_tallies_come_to_the_same(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch, far: int, states: tuple[str, ...]
    ) -> None:
        monkeypatch.setattr(search, "FAR", far)
        kinds = (PENDING, FAILURE, RETRY, FAILURE, SUCCESS)
        async with harness.results() as results:
            for n in range(20):
                await created(results, record(f"t{n}", state=kinds[n % 5], queue="ab"[n % 3 == 0]))
            expected = [f"t{n}" for n in reversed(range(0, 20, 3)) if not states or kinds[n % 5] in states]
            which = Filter(states=states, queues=["b"])
            seen: list[str] = []
            cursor, pages = None, 0
            while pages == 0 or cursor is not None:
                page = await results.records.page(which, 2, cursor)
                assert page.next is None or page.reached is not None or len(page.items) == 2
                seen += ids(page)
                pages, cursor = pages + 1, page.next
            assert seen == expected
            number, cursor, stretches = 0, None, 0
            while stretches == 0 or cursor is not None:
                stretch = await results.records.tally(which, cursor)
                number, cursor, stretches = number + stretch.number, stretch.next, stretches + 1
            assert number == len(expected)

    async def test_states_alone_are_tallied_too_and_their_pages_are_full(
        self, harness: Harness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(search, "FAR", 2)
        async with harness.results() as results:
            tasks = await created(results, *(record(state=FAILURE if n % 2 else RETRY) for n in range(10)))
            assert len((await results.records.page(Filter(states=[FAILURE]), 4)).items) == 4
            assert await walk(results, Filter(states=[FAILURE, RETRY]), 5) == newest_first(*tasks)
            number, cursor = 0, None
            while number == 0 or cursor is not None:
                stretch = await results.records.tally(Filter(states=[FAILURE]), cursor)
                assert stretch.number <= 2
                number, cursor = number + stretch.number, stretch.next
            assert number == 5


class TestCounting:
    async def test_counting_stops_at_the_limit(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, *(record() for _ in range(20)))
            assert await results.records.count(ANY) == 20
            assert await results.records.count(ANY, at_most=7) == 7
            assert await results.records.count(Filter(states=[PENDING]), at_most=7) == 7
            assert await results.records.count(Filter(states=[PENDING, SUCCESS]), at_most=100) == 20
            assert await results.records.count(Filter(states=[SUCCESS])) == 0
