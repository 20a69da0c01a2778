"""Draining a backlog: tasks that do nothing, tasks that compute, tasks that wait."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.contender import Contender, Load
from bench.measurement import Figure, Measurement
from bench.outside import drain
from bench.scale import scaled

SPIN = 0.005  #: seconds of CPU
NAP = 0.1  #: seconds


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


DRAINING = (
    Measurement(
        "drain-1", "worker", (
            Figure("drain-1", "drain, one process", "tasks/s"),
            Figure("drain-1-cpu", "drain, one process: the worker's CPU a task", "µs", more_is_better=False),
        ), partial(_quick, 1),
    ),
    Measurement(
        "drain-2", "workers", (
            Figure("drain-2", "drain, two processes", "tasks/s"),
            Figure("drain-2-cpu", "drain, two processes: the workers' CPU a task", "µs", more_is_better=False),
        ), partial(_quick, 2),
    ),
    Measurement("cpu-1", "cpu", (Figure("cpu-1", "5 ms of CPU, one process", "tasks/s"),), partial(_spin, 1)),
    Measurement("cpu-2", "cpu", (Figure("cpu-2", "5 ms of CPU, two processes", "tasks/s"),), partial(_spin, 2)),
    Measurement(
        "naps-10", "nap", (Figure("naps-10", "100 ms async sleeps, 10 at once", "% of ideal"),), partial(_nap, 10, 200)
    ),
    Measurement(
        "naps-1000", "crowd", (Figure("naps-1000", "100 ms async sleeps, 1,000 at once", "% of ideal"),),
        partial(_nap, 1_000, 20_000),
    ),
)  # fmt: skip
