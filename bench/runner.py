"""The rounds: in each one every measurement is made for every contender, one right after the other, in turn."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp

from bench import machine, peers
from bench.contender import Contender
from bench.measurement import Measurement
from bench.results import Results
from bench.scale import SCALE

CALM = 90.0  #: per cent of the cores idle: then a measurement begins …
LIMIT = 60 * float(os.environ.get("MINUTES") or 38)  #: seconds after which nothing new is begun
_BESIDE = 0.5  #: seconds around each measurement
LONGEST = 8.0  #: … or when it has waited for so many seconds,
ALLOWANCE = 180.0 if SCALE == 1 else 0.0  #: or the run for so many in all


def run(contenders: Sequence[Contender], measurements: Sequence[Measurement], rounds: int) -> Results:
    """Measure; tell each number as it comes. What fails is noted, and the rest goes on."""
    results = Results(rounds)
    patience, start = _Patience(), time.monotonic()
    for number in range(rounds):
        for measurement in measurements:
            able = _able(contenders, measurement) if number < measurement.rounds else []
            if able and time.monotonic() - start > LIMIT:
                results.skipped.append(f"{measurement.name}, round {number + 1}")
                print(f"round {number + 1}/{rounds}  {measurement.name:12} skipped: {LIMIT / 60:.0f} minutes are over")
                continue
            turn = number % len(able) if able else 0
            for contender in (*able[turn:], *able[:turn]):
                _measure(results, measurement, contender, number, patience)
    return results


def estimated(contenders: Sequence[Contender], measurements: Sequence[Measurement], rounds: int) -> float:
    """Minutes that it should take on a quiet machine, some waiting for its quiet included."""
    each = (len(_able(contenders, one)) * min(rounds, one.rounds) * (one.seconds + _BESIDE) for one in measurements)
    return (sum(each) + ALLOWANCE / 3) / 60


def _able(contenders: Sequence[Contender], measurement: Measurement) -> list[Contender]:
    return [each for each in contenders if measurement.needs in each.offers]


class _Patience:
    """Waits for other programs to pause, as long as the allowance of the run lasts."""

    def __init__(self) -> None:
        self.left = ALLOWANCE

    def calm(self) -> float:
        """How idle the machine is (per cent) when the waiting ends."""
        start, limit = time.monotonic(), min(self.left, LONGEST)
        while (found := machine.idle()) < CALM and time.monotonic() - start < limit:
            pass
        self.left -= time.monotonic() - start
        return found


def _measure(
    results: Results, measurement: Measurement, contender: Contender, number: int, patience: _Patience
) -> None:
    peers.BUILD.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=f"{measurement.name}-", dir=peers.BUILD))
    heading = f"round {number + 1}/{results.rounds}  {measurement.name:12} {contender.name:16}"
    try:
        results.idle.append(patience.calm())
        results.syncs.append(machine.sync_time(folder))
        values = measurement.run(contender, folder)
    except Exception as error:  # a contender may fail in any way; its neighbours are measured all the same
        what = next(iter(str(error).splitlines()), type(error).__name__)
        results.failures.append(f"{measurement.name}, {contender.name}, round {number + 1}: {what}")
        print(f"{heading} FAILED: {error}", flush=True)
        return
    finally:
        contender.forget(folder)
        shutil.rmtree(folder, ignore_errors=True)
    for figure, value in zip(measurement.figures, values, strict=True):
        results.add(figure.name, contender.name, number, value)
    told = "  ".join(f"{value:,.4g} {figure.unit}" for figure, value in zip(measurement.figures, values, strict=True))
    print(f"{heading} {told}", flush=True)
