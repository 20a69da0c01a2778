"""Leases: who may hold claims, and who no longer."""

from __future__ import annotations

import pytest

from penstock.core.errors import LeaseLost
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import WORKER, created, ending, lease, record


class TestLeases:
    async def test_a_lease_belongs_to_its_worker_while_it_is_alive(self, harness: Harness) -> None:
        async with harness.results() as results, harness.results() as other:
            await results.leases.open("lease-ü", "größe@host", 60)
            assert await other.leases.owner("lease-ü") == "größe@host"
            assert await other.leases.owner("unknown") is None

    async def test_it_lapses_with_its_time(self, harness: Harness) -> None:
        async with harness.results() as results:
            own = await lease(results, 0.2)
            assert await results.leases.lapsed() == []
            await harness.elapse(0.3)
            assert await results.leases.lapsed() == [own]

    async def test_looking_ahead_names_what_will_lapse(self, harness: Harness) -> None:
        async with harness.results() as results:
            own = await lease(results, 20)
            assert await results.leases.lapsed(10) == []
            assert await results.leases.lapsed(30) == [own]
            assert await results.leases.lapsed() == []

    async def test_renewing_prolongs_from_now_on(self, harness: Harness) -> None:
        async with harness.results() as results:
            own = await lease(results, 4)
            for _ in range(3):
                await harness.elapse(0.2)
                assert await results.leases.renew([own], 60) == []
            assert await results.leases.lapsed(50) == []
            assert await results.leases.lapsed(70) == [own]

    async def test_one_whose_renewal_comes_late_lives_on_unless_it_was_condemned(self, harness: Harness) -> None:
        """A store that stood still is not held against those who could not renew meanwhile."""
        async with harness.results() as results:
            own = await lease(results, 0.2)
            await harness.elapse(0.3)
            assert await results.leases.owner(own) == WORKER
            assert await results.leases.renew([own], 60) == []
            assert await results.leases.lapsed() == []
            assert await results.leases.condemn([own]) == []
            assert await results.leases.owner(own) == WORKER

    async def test_condemning_kills_only_what_has_run_out(self, harness: Harness) -> None:
        async with harness.results() as results:
            late, later, alive = await lease(results, 0.2), await lease(results, 0.2), await lease(results)
            await harness.elapse(0.3)
            assert await results.leases.condemn([late, alive, "unknown"]) == [late]
            assert await results.leases.owner(late) is None
            assert await results.leases.owner(later) == WORKER
            assert await results.leases.owner(alive) == WORKER
            assert sorted(await results.leases.lapsed()) == sorted([late, later])
            assert await results.leases.condemn([]) == []

    async def test_condemning_names_again_what_is_dead_already(self, harness: Harness) -> None:
        """Whoever condemned it may have died before its claims were released."""
        async with harness.results() as results:
            own = await lease(results, 0.2)
            await harness.elapse(0.3)
            assert await results.leases.condemn([own]) == [own]
            assert await results.leases.condemn([own]) == [own]
            await results.leases.close([own])
            assert await results.leases.condemn([own]) == []

    async def test_renewing_names_those_that_are_not_alive_and_leaves_them_dead(self, harness: Harness) -> None:
        async with harness.results() as results:
            dead, closed, alive = await lease(results, 0.2), await lease(results), await lease(results)
            await results.leases.close([closed])
            await harness.elapse(0.3)
            await results.leases.condemn([dead])
            gone = await results.leases.renew([dead, alive, closed, "unknown"], 60)
            assert sorted(gone) == sorted([dead, closed, "unknown"])
            assert await results.leases.owner(dead) is None
            assert await results.leases.owner(alive) == WORKER
            assert await results.leases.renew([], 60) == []

    async def test_a_condemned_lease_is_dead_for_ever(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results, 0.2)
            await harness.elapse(0.3)
            await results.leases.condemn([own])
            await results.leases.renew([own], 60)
            with pytest.raises(LeaseLost):
                await results.leases.open(own, WORKER, 60)
            with pytest.raises(LeaseLost):
                await results.records.finish([ending(task)], own)
            assert await results.leases.lapsed() == [own]

    async def test_opening_again_what_is_alive_prolongs_it(self, harness: Harness) -> None:
        """An open whose answer got lost is tried again."""
        async with harness.results() as results:
            own = await lease(results, 0.2)
            await results.leases.open(own, WORKER, 60)
            await harness.elapse(0.3)
            await results.leases.open(own, WORKER, 60)
            assert await results.leases.lapsed(50) == []

    async def test_lapsed_ones_are_named_until_they_are_closed(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, two = await lease(results, 0.2), await lease(results, 0.2)
            await lease(results, 60)
            await harness.elapse(0.3)
            assert sorted(await results.leases.lapsed()) == sorted([one, two])
            await results.leases.close([one])
            assert await results.leases.lapsed() == [two]

    async def test_a_closed_lease_is_forgotten(self, harness: Harness) -> None:
        async with harness.results() as results:
            own, other = await lease(results, 0.2), await lease(results)
            await results.leases.close([own, other, "unknown"])
            await results.leases.close([own])
            assert await results.leases.owner(other) is None
            await harness.elapse(0.3)
            assert await results.leases.lapsed() == []

    async def test_a_sweep_leaves_lapsed_leases_to_be_named(self, harness: Harness) -> None:
        async with harness.results() as results:
            own = await lease(results, 0.2)
            await harness.elapse(0.3)
            await results.keys.sweep()
            assert await results.leases.lapsed() == [own]
