"""Roll-ups of what happened: counted, merged, read back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.client import history
from penstock.core.history import CLASSES, QUEUES, SPANS, Chronicle, Depth, RollUp, Span, class_of
from penstock.core.message import Delivery, Message
from penstock.core.record import Ending
from tests.unit.api.shop import Shop


def ending(state: str = "SUCCESS", seconds: float | None = 0.01) -> Ending:
    started = None if seconds is None else 100.0
    return Ending(
        delivery=Delivery(Message(b""), tag=None), state=state, finished_at=100.0 + (seconds or 0.0),
        started_at=started, worker="w", pid=1,
    )  # fmt: skip


@given(st.lists(st.floats(1e-4, 50_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99]))
def test_percentiles_are_right_to_within_a_fifth(times: list[float], share: float) -> None:
    rollup = RollUp()
    rollup.count(ending(seconds=each) for each in times)
    exact = sorted(times)[max(0, -(-int(share * 1000) * len(times) // 1000) - 1)]
    found = rollup.percentile(share)
    assert found is not None
    assert exact / 1.2 <= found <= exact * 1.2


def test_run_times_of_any_length_have_a_class() -> None:
    assert class_of(-1.0) == class_of(0.0) == class_of(1e-4) == 0
    assert class_of(1e12) == CLASSES - 1
    assert RollUp().percentile(0.5) is None


def test_merging_adds_runs_and_keeps_the_fullest() -> None:
    one, two = RollUp(queues={"a": Depth(3, 9.0)}), RollUp(queues={"a": Depth(5, 1.0), "b": Depth(1, 1.0)})
    one.count([ending(), ending("FAILURE"), ending("REVOKED", None)])
    two.count([ending(seconds=10.0)])
    one.merge(two)
    assert one.ended == {"SUCCESS": 2, "FAILURE": 1, "REVOKED": 1}
    assert sum(one.runs.values()) == 3
    assert one.queues == {"a": Depth(5, 9.0), "b": Depth(1, 1.0)}


def test_a_roll_up_stays_small() -> None:
    rollup = RollUp()
    rollup.merge(RollUp(queues={f"q{n}": Depth(1, 1.0) for n in range(1000)}))
    assert len(rollup.queues) == QUEUES


def test_minutes_are_told_once() -> None:
    chronicle = Chronicle()
    chronicle.count([ending()], 119.0)
    chronicle.count([ending()], 121.0)
    assert sorted(chronicle.taken()) == [60, 120]
    assert chronicle.taken() == {}


class TestKeeping:
    @pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
    async def test_what_several_add_is_read_as_one(self, span: Span) -> None:
        async with Shop() as shop:
            now = int(shop.clock())
            for _ in range(3):
                news = RollUp()
                news.count([ending(), ending("FAILURE")])
                await history.add(shop.backends, {now // 60 * 60: news})
            found = await history.read(shop.backends, span, now)
            assert len(found) == span.number
            assert found[-1][1].ended == {"SUCCESS": 3, "FAILURE": 3}
            assert all(not rollup.ended for _, rollup in found[:-1])
            assert {later - earlier for (earlier, _), (later, _) in pairwise(found)} == {span.step}

    async def test_two_that_add_at_once_lose_nothing(self) -> None:
        async with Shop() as shop:
            keys, swap = shop.backends.results.keys, shop.backends.results.keys.swap
            await history.add(shop.backends, {60: RollUp(ended={"SUCCESS": 1})})
            meddled = False

            def meddling(key: str, old: bytes, new: bytes, seconds: float) -> object:
                nonlocal meddled
                if not meddled:
                    meddled = True
                    return swap(key, b"something else", new, seconds)  # as if another one had been quicker
                return swap(key, old, new, seconds)

            keys.swap = meddling  # type: ignore[method-assign, assignment]
            await history.add(shop.backends, {60: RollUp(ended={"SUCCESS": 1})})
            found = await history.read(shop.backends, SPANS["1h"], 60)
            assert found[-1][1].ended == {"SUCCESS": 2}

    async def test_what_another_version_wrote_is_passed_over(self) -> None:
        async with Shop() as shop:
            await shop.backends.results.keys.put("history:60:60", b'{"ended": 7}', 100)
            assert (await history.read(shop.backends, SPANS["1h"], 60))[-1][1] == RollUp()


async def test_the_api_tells_it() -> None:
    async with Shop() as shop:
        await history.add(shop.backends, {int(shop.clock()): RollUp(ended={"SUCCESS": 8, "FAILURE": 2}, runs={20: 10})})
        found = (await shop("GET", "/stats")).json()
        assert (found["span"], found["step"], len(found["items"])) == ("1h", 60, 60)
        assert found["whole"]["failure"] == 2
        assert found["items"][-1]["success"] == 8
        assert found["items"][0]["p50"] is None
        assert (await shop("GET", "/stats?span=2h")).status_code == 400
