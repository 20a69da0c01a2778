"""Submitting: one by one, from many coroutines at once, in batches. No worker runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.contender import Contender
from bench.measurement import Figure, Measurement
from bench.scale import scaled

BATCH = 1_000


def _one_by_one(contender: Contender, folder: Path) -> Sequence[float]:
    return [contender.call(folder, "submit", count=scaled(1_500))]


def _alone(contender: Contender, folder: Path) -> Sequence[float]:
    return [contender.call(folder, "asubmit", count=scaled(1_500), width=1)]


def _crowd(contender: Contender, folder: Path) -> Sequence[float]:
    return [contender.call(folder, "asubmit", count=scaled(6_400, 32), width=32)]


def _throng(contender: Contender, folder: Path) -> Sequence[float]:
    return [contender.call(folder, "asubmit", count=scaled(20_000, 1_000), width=1_000)]


def _bulk(contender: Contender, folder: Path) -> Sequence[float]:
    return [contender.call(folder, "bulk", count=scaled(20_000, BATCH), size=BATCH)]


SUBMITTING = (
    Measurement("submit", "send", (Figure("submit", "submit one by one, sync", "tasks/s"),), _one_by_one, 2),
    Measurement("asubmit", "asend", (Figure("asubmit", "submit one by one, async", "tasks/s"),), _alone, 2),
    Measurement("submit-32", "senders", (Figure("submit-32", "submit, 32 coroutines", "tasks/s"),), _crowd, 3, 1),
    Measurement("submit-1000", "crowd", (Figure("submit-1000", "submit, 1,000 coroutines", "tasks/s"),), _throng, 5, 1),
    Measurement("bulk", "send_many", (Figure("bulk", "submit in batches of 1,000", "tasks/s"),), _bulk, 3),
)
