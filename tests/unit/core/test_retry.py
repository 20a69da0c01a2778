"""Which errors are tried again (DESIGN §5.1), and when (§5.6)."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from penstock.core.errors import Ignore, Reject, Retry
from penstock.core.retry import RetryPolicy
from penstock.core.task import TaskOptions


def policy(**options: Any) -> RetryPolicy:
    return TaskOptions.of(options).retry


def delays(of: RetryPolicy, count: int = 12) -> list[float]:
    return [of.delay(retries, Random(1)) for retries in range(count)]


def test_nothing_is_retried_by_default() -> None:
    assert not policy().allows(ValueError(), 0)


def test_max_retries_retries_every_exception_that_often() -> None:
    assert [policy(max_retries=2).allows(KeyError(), retries) for retries in range(4)] == [True, True, False, False]


def test_dont_autoretry_for_is_excepted() -> None:
    fussy = policy(max_retries=2, dont_autoretry_for=(LookupError,))
    assert not fussy.allows(KeyError(), 0)
    assert fussy.allows(ValueError(), 0)


def test_autoretry_for_narrows() -> None:
    narrow = policy(max_retries=2, autoretry_for=(LookupError,))
    assert narrow.allows(KeyError(), 0)
    assert not narrow.allows(ValueError(), 0)


def test_dont_autoretry_for_wins_over_autoretry_for() -> None:
    assert not policy(autoretry_for=(LookupError,), dont_autoretry_for=KeyError).allows(KeyError(), 0)


def test_autoretry_for_without_max_retries_allows_three() -> None:
    assert [policy(autoretry_for=(OSError,)).allows(OSError(), n) for n in range(5)] == [True] * 3 + [False] * 2


def test_self_retry_without_max_retries_allows_three() -> None:
    assert [policy().allows(Retry(), n) for n in range(5)] == [True] * 3 + [False] * 2


def test_self_retry_keeps_to_max_retries() -> None:
    assert [policy(max_retries=1).allows(Retry(), n) for n in range(2)] == [True, False]
    assert not policy(max_retries=0).allows(Retry(), 0)


def test_self_retry_may_say_its_own_limit() -> None:
    assert policy(max_retries=1).allows(Retry(max_retries=9), 8)
    assert not policy(max_retries=9).allows(Retry(max_retries=1), 1)


def test_max_retries_none_is_for_ever() -> None:
    assert policy(max_retries=None).allows(ValueError(), 10**6)
    assert policy(max_retries=None).allows(Retry(), 10**6)


@pytest.mark.parametrize("error", [Ignore(), Reject(), SystemExit(), KeyboardInterrupt()])
def test_control_flow_is_not_retried_by_itself(error: BaseException) -> None:
    assert not policy(max_retries=3).allows(error, 0)


def test_an_empty_autoretry_for_leaves_only_self_retry() -> None:
    manual = policy(max_retries=2, autoretry_for=())
    assert not manual.allows(ValueError(), 0)
    assert manual.allows(Retry(), 1)


def test_the_delay_doubles_from_one_second_to_ten_minutes() -> None:
    assert delays(policy(retry_jitter=False)) == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


def test_jitter_takes_at_most_half_off() -> None:
    spread = [policy().delay(4, Random(seed)) for seed in range(500)]
    assert 8 <= min(spread) < 8.5
    assert 15.5 < max(spread) <= 16


def test_retry_backoff_true_is_the_default_and_a_number_the_first_delay() -> None:
    assert delays(policy(retry_backoff=True)) == delays(policy())
    assert delays(policy(retry_backoff=3, retry_backoff_max=10, retry_jitter=False), 4) == [3, 6, 10, 10]


def test_a_fixed_delay_neither_doubles_nor_jitters() -> None:
    assert delays(policy(default_retry_delay=7), 3) == [7, 7, 7]
    assert delays(policy(retry_backoff=False), 3) == [1, 1, 1]


def test_backoff_wins_over_a_fixed_delay_where_both_are_given() -> None:
    assert delays(policy(default_retry_delay=7, retry_backoff=True, retry_jitter=False), 3) == [1, 2, 4]


def test_very_many_retries_do_not_overflow() -> None:
    assert policy(max_retries=None, retry_jitter=False).delay(10**6, Random()) == 600


def test_celerys_retry_kwargs_stand_for_the_options() -> None:
    given = policy(autoretry_for=(OSError,), retry_kwargs={"max_retries": 5, "countdown": 2})
    assert given.allows(OSError(), 4)
    assert not given.allows(OSError(), 5)
    assert delays(given, 2) == [2, 2]
