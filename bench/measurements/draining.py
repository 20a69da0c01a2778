"""Draining a backlog: tasks that do nothing, tasks that compute, tasks that wait."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.contender import Contender, Load
from bench.measurement import Figure, Measurement
from bench.outside import drain
from bench.scale import scaled

SPIN = 0.005  #: seconds of CPU
NAP = 0.1  #: seconds
FILLING = 300.0  #: seconds that filling a backlog may take


def _quick(processes: int, contender: Contender, folder: Path) -> Sequence[float]:
    count = scaled(contender.backlog, 100)
    contender.call(folder, "fill", task="add", args=[1, 2], count=count)
    drained = drain(contender, folder, Load(processes=processes), count)
    return [drained.rate, drained.cost]


def _spin(processes: int, contender: Contender, folder: Path) -> Sequence[float]:
    count = scaled(400, 20) * processes
    contender.call(folder, "fill", task="spin", args=[SPIN], count=count)
    return [drain(contender, folder, Load("spin", processes), count).rate]


def _nap(slots: int, count: int, contender: Contender, folder: Path) -> Sequence[float]:
    """Per cent of the ideal: every slot takes its next nap at once. The first ones began a nap before their end."""
    count = scaled(count, 2 * slots)
    contender.call(folder, "fill", task="nap", args=[NAP], count=count)
    taken = drain(contender, folder, Load("nap", slots=slots), count).seconds + NAP
    return [100 * (count / slots * NAP) / taken]


def _backlog(waiting: int, contender: Contender, folder: Path) -> Sequence[float]:
    """Tasks a second, submitted one by one and drained, with so many waiting all the while."""
    waiting, some = scaled(waiting, 1_000), scaled(9_000, 900)
    start, left = time.monotonic(), waiting
    while left:
        portion = min(left, 50_000)
        contender.call(folder, "fill", task="add", args=[1, 2], count=portion)
        left -= portion
        if time.monotonic() - start > FILLING:
            raise RuntimeError(f"only {waiting - left} of {waiting} were queued within {FILLING:.0f} s")
    submitted = contender.call(folder, "submit", count=scaled(1_500))
    return [submitted, drain(contender, folder, Load(), some).rate]


def _waiting(name: str, title: str) -> tuple[Figure, Figure]:
    return (
        Figure(f"{name}-submit", f"submit one by one, {title} waiting", "tasks/s"),
        Figure(f"{name}-drain", f"drain, one process, {title} waiting", "tasks/s"),
    )


DRAINING = (
    Measurement(
        "drain-1", "worker", (
            Figure("drain-1", "drain, one process", "tasks/s"),
            Figure("drain-1-cpu", "drain, one process: the worker's CPU a task", "µs", more_is_better=False),
        ), partial(_quick, 1), 6,
    ),
    Measurement(
        "drain-2", "workers", (
            Figure("drain-2", "drain, two processes", "tasks/s"),
            Figure("drain-2-cpu", "drain, two processes: the workers' CPU a task", "µs", more_is_better=False),
        ), partial(_quick, 2), 6, 1,
    ),
    Measurement("cpu-1", "cpu", (Figure("cpu-1", "5 ms of CPU, one process", "tasks/s"),), partial(_spin, 1), 5, 1),
    Measurement("cpu-2", "cpu", (Figure("cpu-2", "5 ms of CPU, two processes", "tasks/s"),), partial(_spin, 2), 5, 1),
    Measurement(
        "naps-10", "nap", (Figure("naps-10", "100 ms async sleeps, 10 at once", "% of ideal"),),
        partial(_nap, 10, 200), 5, 1,
    ),
    Measurement(
        "naps-1000", "crowd", (Figure("naps-1000", "100 ms async sleeps, 1,000 at once", "% of ideal"),),
        partial(_nap, 1_000, 20_000), 9, 1,
    ),
    Measurement("backlog-10k", "backlog", _waiting("backlog-10k", "10 thousand"), partial(_backlog, 10_000), 6),
    Measurement("backlog-1m", "backlog", _waiting("backlog-1m", "1 million"), partial(_backlog, 1_000_000), 75, 1),
)  # fmt: skip
