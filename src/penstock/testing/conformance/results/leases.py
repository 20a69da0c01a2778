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
            assert await results.leases.owner(own) is None
            assert await results.leases.lapsed() == [own]

    async def test_renewing_prolongs_from_now_on(self, harness: Harness) -> None:
        async with harness.results() as results:
            own = await lease(results, 0.4)
            for _ in range(3):
                await harness.elapse(0.2)
                assert await results.leases.renew([own], 0.4) == []
            assert await results.leases.owner(own) == WORKER
            await harness.elapse(0.5)
            assert await results.leases.owner(own) is None

    async def test_renewing_names_those_that_are_not_alive_and_leaves_them_dead(self, harness: Harness) -> None:
        async with harness.results() as results:
            dead, closed, alive = await lease(results, 0.2), await lease(results), await lease(results)
            await results.leases.close([closed])
            await harness.elapse(0.3)
            gone = await results.leases.renew([dead, alive, closed, "unknown"], 60)
            assert sorted(gone) == sorted([dead, closed, "unknown"])
            assert await results.leases.owner(dead) is None
            assert await results.leases.owner(alive) == WORKER
            assert await results.leases.renew([], 60) == []

    async def test_a_lapsed_lease_is_dead_for_ever(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results, 0.2)
            await harness.elapse(0.3)
            await results.leases.renew([own], 60)
            with pytest.raises(LeaseLost):
                await results.leases.open(own, WORKER, 60)
            with pytest.raises(LeaseLost):
                await results.records.finish([ending(task)], own)
            assert await results.leases.lapsed() == [own]

    async def test_opening_again_what_is_alive_prolongs_it(self, harness: Harness) -> None:
        """An open whose answer got lost is tried again."""
        async with harness.results() as results:
            own = await lease(results, 0.4)
            await results.leases.open(own, WORKER, 60)
            await harness.elapse(0.5)
            assert await results.leases.owner(own) == WORKER

    async def test_lapsed_ones_are_named_until_they_are_closed(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, two = await lease(results, 0.2), await lease(results, 0.2)
            await lease(results, 60)
            await harness.elapse(0.3)
            assert sorted(await results.leases.lapsed()) == sorted([one, two])
            await results.leases.close([one])
            assert await results.leases.lapsed() == [two]

    async def test_a_grace_puts_off_the_naming_not_the_lapse(self, harness: Harness) -> None:
        async with harness.results() as results:
            own = await lease(results, 0.2)
            await harness.elapse(0.3)
            assert await results.leases.lapsed(grace=0.5) == []
            assert await results.leases.owner(own) is None
            await harness.elapse(0.5)
            assert await results.leases.lapsed(grace=0.5) == [own]

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
