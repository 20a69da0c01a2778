"""How much a child may hold."""

from __future__ import annotations

import pytest

from penstock.worker.load import BATCH, HORIZON, Kind, Load, Pool


def load(threads: int = 8, slots: int = 100) -> tuple[Load, Pool, Pool]:
    plain, asynchronous = Pool(threads, 0.5), Pool(slots, 0.5)
    return Load((plain, asynchronous)), plain, asynchronous


def feed(whole: Load, pool: Pool, cost: float, times: int = 50) -> None:
    """Messages of one kind came and went."""
    for _ in range(times):
        pool.take(cost)
        pool.give(cost)
        whole.mix([each is pool for each in whole.pools])


def test_unknown_tasks_are_held_one_a_slot() -> None:
    whole, plain, _ = load(threads=8)
    assert whole.room(0) == 8
    for held in range(8):
        assert whole.room(held) == 8 - held
        plain.take(HORIZON)
    assert whole.room(8) == 0


def test_slow_tasks_are_held_one_a_slot() -> None:
    whole, plain, _ = load(threads=3)
    feed(whole, plain, Kind(False, 5.0).cost)
    assert whole.room(0) == 3
    plain.take(Kind(False, 5.0).cost)
    assert whole.room(1) == 2


def test_quick_tasks_are_fetched_by_the_batch() -> None:
    whole, plain, _ = load()
    feed(whole, plain, 0.000_1)
    assert whole.room(0) == BATCH
    assert whole.quick()


def test_tasks_in_between_are_held_for_a_fraction_of_a_second() -> None:
    whole, plain, _ = load(threads=2)
    feed(whole, plain, 0.05)
    assert whole.room(0) == 2 * HORIZON / 0.05
    assert not whole.quick()


def test_what_cannot_be_recorded_as_fast_as_it_runs_does_not_pile_up() -> None:
    whole, plain, _ = load(threads=8)
    feed(whole, plain, 0.000_1)
    assert whole.room(2 * BATCH) == BATCH
    assert whole.room(2 * BATCH + 9) == 0


def test_a_thousand_slots_can_be_filled() -> None:
    whole, _, asynchronous = load(slots=1000)
    feed(whole, asynchronous, 0.1)
    held = 0
    while (room := whole.room(held)) > 0 and held < 5000:
        for _ in range(room):
            asynchronous.take(0.1)
        held += room
    assert held >= 1000


def test_a_pool_that_hardly_gets_any_messages_does_not_hold_up_the_others() -> None:
    whole, plain, asynchronous = load(threads=1, slots=50)
    plain.take(HORIZON)
    assert whole.room(1) == 0  # half of the messages may be for it
    feed(whole, asynchronous, 1.0)
    assert whole.room(1) > 0


def test_an_empty_pool_costs_nothing_whatever_was_rounded() -> None:
    _, plain, _ = load()
    for cost in (0.1, 0.2, 0.3):
        plain.take(cost)
    for cost in (0.3, 0.2, 0.1):
        plain.give(cost)
    assert (plain.held, plain.cost) == (0, 0.0)


def test_a_kind_is_slow_until_it_has_run_and_quick_when_it_was() -> None:
    kind = Kind(False)
    assert (kind.slow, kind.cost) == (True, HORIZON)
    kind.learn(0.000_01)
    assert (kind.slow, kind.cost) == (False, 0.000_01)


def test_one_outlier_does_not_make_a_quick_task_slow() -> None:
    kind = Kind(False, 0.000_01)
    kind.learn(5.0)
    assert not kind.slow


def test_a_task_that_has_become_slow_is_known_to_be_soon() -> None:
    kind = Kind(False, 0.000_01)
    for _ in range(20):
        kind.learn(0.1)
    assert kind.seconds == pytest.approx(0.1, rel=0.5)
