"""Records that have outlived their time: expired and prune."""

from __future__ import annotations

import pytest

from penstock.core.record import Filter, Record
from penstock.core.results import ResultBackend
from penstock.core.states import FAILURE, PENDING, RECEIVED, RETRY, REVOKED, STARTED, SUCCESS
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import NOON, created, letter, record

DAY = 86400.0
MANY = 1_000_000


def ended(task_id: str, at: float, state: str = SUCCESS) -> Record:
    return record(task_id, state=state, created_at=NOON, finished_at=at)


async def left(results: ResultBackend) -> set[str]:
    return {item.task_id for item in (await results.records.page(Filter(), 100)).items}


class TestExpiry:
    @pytest.mark.parametrize("state", [PENDING, RECEIVED, RETRY])
    async def test_waiting_records_whose_time_has_passed_are_named(self, harness: Harness, state: str) -> None:
        now = harness.now()
        async with harness.results() as results:
            await created(
                results,
                record("past", state=state, expires=now - 10),
                record("future", state=state, expires=now + 100),
                record("never", state=state),
            )
            assert await results.records.expired(10) == ["past"]

    @pytest.mark.parametrize("state", [STARTED, SUCCESS, FAILURE, REVOKED])
    async def test_others_are_not(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            await created(results, record(state=state, expires=NOON))
            assert await results.records.expired(10) == []

    async def test_no_more_than_asked_are_named_and_the_rest_follows(self, harness: Harness) -> None:
        async with harness.results() as results:
            tasks = await created(results, *(record(expires=NOON) for _ in range(5)))
            first = await results.records.expired(3)
            assert len(first) == 3
            await results.records.revoke(first, "expired")
            assert set(first) | set(await results.records.expired(3)) == {task.task_id for task in tasks}


class TestPruning:
    async def test_what_ended_long_ago_is_deleted(self, harness: Harness) -> None:
        now = harness.now()
        async with harness.results() as results:
            await created(
                results,
                ended("old", now - 2 * DAY),
                ended("older", now - 3 * DAY, FAILURE),
                ended("young", now - DAY / 2, REVOKED),
            )
            assert await results.records.prune(DAY, MANY) == 2
            assert await left(results) == {"young"}
            assert await results.records.prune(DAY, MANY) == 0

    @pytest.mark.parametrize("state", [PENDING, RECEIVED, STARTED, RETRY])
    async def test_unended_records_stay_whatever_their_age(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            await created(results, record(state=state, created_at=NOON))
            assert await results.records.prune(0, 0) == 0
            assert len(await left(results)) == 1

    async def test_beyond_those_to_keep_the_oldest_endings_go(self, harness: Harness) -> None:
        now = harness.now()
        async with harness.results() as results:
            # in another order than they were created in
            await created(
                results,
                *(ended(name, now - 2 * 3600 - age) for name, age in zip("dbeca", (4, 2, 5, 3, 1), strict=True)),
            )
            await created(results, *(record() for _ in range(5)))
            assert await results.records.prune(DAY, 3) == 2
            assert {"a", "b", "c"} <= await left(results)
            assert await results.records.prune(DAY, 3) == 0

    async def test_the_youngest_hour_is_kept_however_many_they_are(self, harness: Harness) -> None:
        now = harness.now()
        async with harness.results() as results:
            await created(results, *(ended(f"young-{turn}", now - 3500) for turn in range(4)), ended("old", now - 3700))
            assert await results.records.prune(DAY, 2) == 1
            assert await left(results) == {f"young-{turn}" for turn in range(4)}

    async def test_a_short_retention_holds_within_the_hour(self, harness: Harness) -> None:
        now = harness.now()
        async with harness.results() as results:
            await created(results, ended("a", now - 120), ended("b", now - 30))
            assert await results.records.prune(60, MANY) == 1
            assert await left(results) == {"b"}

    async def test_it_goes_in_portions(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, *(ended(f"t{turn}", NOON + turn) for turn in range(10)))
            assert await results.records.prune(DAY, MANY, limit=4) == 4
            assert await left(results) == {f"t{turn}" for turn in range(4, 10)}
            assert await results.records.prune(DAY, MANY, limit=4) == 4
            assert await results.records.prune(DAY, MANY, limit=4) == 2

    async def test_both_rules_share_a_portion(self, harness: Harness) -> None:
        now = harness.now()
        async with harness.results() as results:
            await created(
                results,
                *(ended(f"old-{turn}", now - 2 * DAY) for turn in range(2)),
                *(ended(f"many-{turn}", now - 7200 + turn) for turn in range(5)),
            )
            assert await results.records.prune(DAY, 2, limit=4) == 4
            assert await results.records.prune(DAY, 2, limit=4) == 1
            assert await left(results) == {"many-3", "many-4"}

    async def test_dead_letters_are_not_touched(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, ended("t", NOON))
            await results.dead.add([letter("t", died_at=NOON)])
            assert await results.records.prune(0, 0) == 1
            assert await results.dead.get("t") is not None

    async def test_a_pruned_id_can_be_used_again(self, harness: Harness) -> None:
        async with harness.results() as results:
            await created(results, ended("t", NOON))
            await results.records.prune(DAY, MANY)
            await created(results, record("t"))
            assert await left(results) == {"t"}
