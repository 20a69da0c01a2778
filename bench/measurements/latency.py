"""From the call to its result, one task at a time: with an idle worker of two processes, and with one at half load.

At half load a second client sends tasks of 5 ms of CPU, half as many a second as this very worker has just drained.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.contender import Contender, Load
from bench.measurement import Figure, Measurement
from bench.measurements.draining import SPIN
from bench.outside import drain, worker
from bench.scale import scaled

COUNT = 300
PAUSE = 0.005  #: seconds between a result and the next call: everybody is asleep again
PROCESSES = 2
SETTLE = 2.0  #: seconds of load before the clock runs


def _latency(verb: str, contender: Contender, folder: Path) -> Sequence[float]:
    with worker(contender, folder, Load(processes=PROCESSES)):
        return _taken(verb, contender, folder)


def _loaded(contender: Contender, folder: Path) -> Sequence[float]:
    load, count = Load("spin", PROCESSES), scaled(500, 50)
    contender.call(folder, "fill", task="spin", args=[SPIN], count=count)
    full = drain(contender, folder, load, count).rate
    with worker(contender, folder, load):
        other = contender.launch(folder, contender.command("steady", task="spin", args=[SPIN], rate=full / 2))
        try:
            time.sleep(SETTLE)
            taken = _taken("latency" if "get" in contender.offers else "alatency", contender, folder)
            if other.process.poll() is not None:
                raise RuntimeError("the load has ended before the measurement")
            return taken
        finally:
            other.clean()


def _taken(verb: str, contender: Contender, folder: Path) -> Sequence[float]:
    """Milliseconds: the median and the 99th percentile."""
    taken = contender.call(folder, verb, count=scaled(COUNT, 10), pause=PAUSE)
    return [1000 * statistics.median(taken), 1000 * statistics.quantiles(taken, n=100)[98]]


def _figures(name: str, title: str) -> tuple[Figure, Figure]:
    return (
        Figure(f"{name}-p50", f"submit to result, {title}: median", "ms", more_is_better=False),
        Figure(f"{name}-p99", f"submit to result, {title}: p99", "ms", more_is_better=False),
    )


LATENCY = (
    Measurement("latency", "get", _figures("latency", "idle, sync"), partial(_latency, "latency")),
    Measurement("alatency", "aget", _figures("alatency", "idle, async"), partial(_latency, "alatency")),
    Measurement("latency-loaded", "load", _figures("latency-loaded", "at half load"), _loaded, 9, 1),
)
