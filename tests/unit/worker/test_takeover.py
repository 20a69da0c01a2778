"""Who is taken for dead, and who is given a chance: the looks of a keeper, on memory, with a clock that is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.client.backends import Backends
from penstock.core.errors import Unavailable
from penstock.core.step import commit
from penstock.worker.takeover import BRIEFLY, SHORTEST, Takeover
from tests.unit.worker.parts import Clock, app_in_memory

LEASE, RENEWAL = 10.0, 3.0  # the defaults


class Scene:
    """A holder with one message, and who watches it."""

    def __init__(self) -> None:
        self.clock = Clock()
        app = app_in_memory(clock=self.clock)
        self.prepare = app.prepare
        self.backends: Backends = app.backends()
        self.leases = self.backends.results.leases
        self.takeover = self.watcher("me")

    def watcher(self, name: str) -> Takeover:
        return Takeover(self.backends, name, LEASE, RENEWAL, self.clock)

    async def claim(self) -> None:
        made = self.prepare("add", [1, 2], {}, {}, check=False)
        await commit(self.backends.results.records.create([made.record]), self.backends.broker.publish([made.message]))
        await self.leases.open("theirs", "they", LEASE)
        await self.backends.broker.consume(["default"], "theirs").fetch(1)

    async def taken(self) -> bool:
        [depth] = await self.backends.broker.depth()
        return depth.ready == 1 and await self.leases.owner("theirs") is None

    async def watch(self, seconds: float) -> None:
        """Look once a second."""
        for _ in range(round(seconds)):
            self.clock.advance(1.0)
            await self.takeover.look()

    def stall(self, monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> None:
        """Let `work` happen in the middle of the next write of a look."""
        keys = self.backends.results.keys
        lock = keys.lock

        async def late(*given: Any) -> bool:
            monkeypatch.setattr(keys, "lock", lock)
            work()
            return await lock(*given)

        monkeypatch.setattr(keys, "lock", late)


async def test_what_a_dead_process_held_is_redelivered_soon_after_its_lease_ran_out() -> None:
    scene = Scene()
    await scene.claim()
    await scene.watch(9)
    assert not await scene.taken()
    await scene.watch(3)
    assert await scene.taken()
    assert await scene.leases.lapsed() == []


async def test_who_renews_is_left_in_peace_for_ever() -> None:
    scene = Scene()
    await scene.claim()
    for _ in range(20):
        await scene.watch(RENEWAL)
        assert await scene.leases.renew(["theirs"], LEASE) == []
    assert not await scene.taken()


async def test_after_the_store_stood_still_holders_have_time_to_renew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen late before, lapsed long ago when the write goes through: yet nobody could have renewed in between."""
    scene = Scene()
    await scene.claim()
    await scene.watch(6)
    scene.stall(monkeypatch, lambda: scene.clock.advance(100.0))
    await scene.watch(RENEWAL)
    assert not await scene.taken()
    assert await scene.leases.renew(["theirs"], LEASE) == []


async def test_who_does_not_renew_after_a_standstill_either_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    await scene.claim()
    await scene.watch(6)
    scene.stall(monkeypatch, lambda: scene.clock.advance(100.0))
    await scene.watch(2 * RENEWAL + 2)
    assert await scene.taken()


async def test_after_an_outage_holders_have_time_to_renew(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    await scene.claim()
    await scene.watch(9)

    def away() -> None:
        raise Unavailable("the server is down")

    scene.stall(monkeypatch, away)
    with pytest.raises(Unavailable):
        await scene.watch(1)
    await scene.watch(2 * RENEWAL)
    assert not await scene.taken()
    await scene.watch(2)
    assert await scene.taken()


async def test_who_was_frozen_itself_begins_to_watch_anew() -> None:
    scene = Scene()
    await scene.claim()
    await scene.watch(6)
    scene.clock.advance(60.0)
    await scene.watch(RENEWAL)
    assert not await scene.taken()


async def test_a_clock_that_leaps_ahead_kills_nobody() -> None:
    scene = Scene()
    await scene.claim()
    scene.clock.advance(3600.0)
    await scene.watch(RENEWAL)
    assert await scene.leases.renew(["theirs"], LEASE) == []
    await scene.watch(RENEWAL)
    assert not await scene.taken()


async def test_a_clock_that_falls_back_kills_nobody_and_keeps_nobody_alive() -> None:
    """The store's clock; what is measured here goes on as ever."""
    scene = Scene()
    await scene.claim()
    monotonic = Clock()
    scene.takeover = Takeover(scene.backends, "me", LEASE, RENEWAL, monotonic)

    async def watch(seconds: int) -> None:
        for _ in range(seconds):
            monotonic.advance(1.0)
            await scene.watch(1)

    await watch(2)
    scene.clock.advance(-3600.0)
    for _ in range(5):
        assert await scene.leases.renew(["theirs"], LEASE) == []
        await watch(3)
    assert not await scene.taken()
    await watch(12)  # it has not renewed any more
    assert await scene.taken()


async def test_a_renewal_between_the_look_and_the_sentence_is_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    await scene.claim()
    await scene.watch(9)
    condemn = scene.leases.condemn

    async def beaten(leases: list[str]) -> list[str]:
        await scene.leases.renew(leases, LEASE)
        return await condemn(leases)

    monkeypatch.setattr(scene.leases, "condemn", beaten)
    await scene.watch(5)
    assert not await scene.taken()


async def test_what_another_condemned_and_did_not_release_is_taken_over() -> None:
    scene = Scene()
    await scene.claim()
    scene.clock.advance(LEASE)
    assert await scene.leases.condemn(["theirs"]) == ["theirs"]
    await scene.watch(2 * RENEWAL + 2)
    assert await scene.taken()


async def test_one_takes_over_for_all() -> None:
    scene = Scene()
    await scene.claim()
    other, keys = scene.watcher("another"), scene.backends.results.keys

    async def both(seconds: int) -> None:
        for _ in range(seconds):
            await scene.watch(1)
            await other.look()

    await both(8)
    scene.clock.advance(BRIEFLY)
    assert await keys.lock("sweep:lapsed", "a third", 60.0)
    await both(5)
    assert not await scene.taken()
    await keys.unlock("sweep:lapsed", "a third")
    await both(1)
    assert await scene.taken()


def test_short_leases_too_have_a_chance() -> None:
    scene = Scene()
    assert Takeover(scene.backends, "me", 0.5, 0.1).chance == SHORTEST
