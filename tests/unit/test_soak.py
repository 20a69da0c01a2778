"""The judgement of `make soak` (tests/soak/bounds.py): what grows beyond its bound is named, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.soak.bounds import Course, Sample, judged

MIB = float(1 << 20)


def course(name: str, value: Callable[[float], float], minutes: int = 30) -> Course:
    """Judged after so many minutes at 40 tasks a second, of which 5 were the warm-up."""
    samples = [Sample(at, {name: value(at)}) for at in range(0, minutes * 60, 5)]
    [found] = judged(samples, rate=40, warm_up=300)
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory worker.2", lambda at: (15 + at / 300) * MIB),  # 12 MiB an hour
        ("files API", lambda at: 20 + at / 100),
        ("threads API", lambda at: 4 + at // 300),
        ("connections Redis", lambda at: 13 + at / 60),
        ("objects queues", lambda at: 6 + at / 60),
        ("rows records", lambda at: 1000 + 5 * at),  # a task in eight is never forgotten
        ("rows dead", lambda at: at),
        ("rows penstock:task:*", lambda at: 40 * min(at, 400)),  # forgotten, but far too late
        ("rows penstock:feed", lambda at: 400 * at),
        ("rows penstock:key:history:*", lambda at: 2 * at),
        ("bytes", lambda at: at * MIB),
    ],
)  # fmt: skip
def test_a_leak_is_found(name: str, value: Callable[[float], float]) -> None:
    assert course(name, value).fault


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory worker.2", lambda at: (15 + min(at, 300) / 10) * MIB),  # the warm-up
        ("memory API", lambda at: (29 + (at % 60) / 20) * MIB),
        ("connections Redis", lambda at: 13 + at % 3),
        ("rows records", lambda at: 40 * (60 + at % 60)),  # what retention leaves, between two sweeps
        ("rows penstock:feed", lambda at: 120 * at),  # kept for an hour
        ("bytes", lambda at: 8 * MIB + at * 40_000),
    ],
)  # fmt: skip
def test_what_comes_and_goes_is_none(name: str, value: Callable[[float], float]) -> None:
    assert not course(name, value).fault


def test_stores_are_judged_by_the_samples_in_which_they_were_read() -> None:
    samples = [Sample(at, {"rows records": 5000.0} if at % 30 == 0 else {}) for at in range(0, 1800, 5)]
    [found] = judged(samples, rate=40, warm_up=300)
    assert (found.first, found.last, found.fault) == (5000.0, 5000.0, "")


def test_a_reading_without_a_bound_is_refused() -> None:
    with pytest.raises(LookupError):
        judged([Sample(0, {"swings": 1})], rate=40, warm_up=0)
