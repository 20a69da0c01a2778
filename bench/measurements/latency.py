"""From the call to its result, one task at a time, with an idle worker of two processes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.contender import Contender, Load
from bench.measurement import Figure, Measurement
from bench.outside import worker
from bench.scale import scaled

COUNT = 300
PAUSE = 0.005  #: seconds between a result and the next call: everybody is asleep again


def _latency(verb: str, contender: Contender, folder: Path) -> Sequence[float]:
    """Milliseconds: the median and the 99th percentile."""
    with worker(contender, folder, Load(processes=2)):
        taken = contender.call(folder, verb, count=scaled(COUNT, 10), pause=PAUSE)
    return [1000 * statistics.median(taken), 1000 * statistics.quantiles(taken, n=100)[98]]


def _figures(name: str, title: str) -> tuple[Figure, Figure]:
    return (
        Figure(f"{name}-p50", f"submit to result, idle, {title}: median", "ms", more_is_better=False),
        Figure(f"{name}-p99", f"submit to result, idle, {title}: p99", "ms", more_is_better=False),
    )


LATENCY = (
    Measurement("latency", "get", _figures("latency", "sync"), partial(_latency, "latency")),
    Measurement("alatency", "aget", _figures("alatency", "async"), partial(_latency, "alatency")),
)
