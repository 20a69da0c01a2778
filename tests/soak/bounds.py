"""What may grow, by how much, and the verdict over all readings of a run. Pure.

Of memory, files, threads, connections and objects: the median of the last third may be above that of the first third,
both after the warm-up, by the growth stated. Of rows and bytes there is a ceiling besides, which follows from the rate
of tasks and from how long things are kept: records for EXPIRES seconds and a sweep, the feed for an hour.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

MIB = float(1 << 20)
#: seconds that records are kept in this test, and at most until the sweep after that
EXPIRES, SWEPT = 60.0, 90.0
_HOUR = 3600.0
#: lines of the feed of one task at most: made, claimed or started, tried again, ended
_LINES = 4


@dataclass(frozen=True)
class Bound:
    """For the readings whose names match: growth in their own unit and as a share; a ceiling as tasks' seconds."""

    names: str
    growth: float = math.inf
    share: float = 0.0
    #: at most what comes in so many seconds, each task `weight` times, and `more`
    seconds: float = math.inf
    weight: float = 1.0
    more: float = 0.0

    def ceiling(self, rate: float) -> float:
        return self.more + rate * self.weight * self.seconds


#: the first that matches a name holds
BOUNDS = (
    Bound("memory server.*", growth=64 * MIB, share=0.25),
    Bound("memory .*", growth=2 * MIB, share=0.05),
    Bound("files .*", growth=6),
    Bound("threads .*", growth=2),
    Bound("connections .*", growth=6),
    Bound("objects .*", growth=6),
    Bound("rows (.*:feed|feed|feed_order|changes)", seconds=_HOUR, weight=_LINES, more=100),
    Bound("rows (keys|.*roll.*|.*key:.*|sqlite_.*)", seconds=0, more=1500),
    Bound("rows .*", growth=500, share=0.25, seconds=EXPIRES + SWEPT, weight=1.5, more=500),
    Bound("bytes", seconds=_HOUR, weight=_LINES * 300, more=64 * MIB),
)
#: seconds of load within which a run is too short for growth to mean anything but its beginning
_EARLY = 300.0


@dataclass(frozen=True)
class Sample:
    """All readings of one moment."""

    at: float  #: seconds since the beginning
    values: Mapping[str, float]


@dataclass(frozen=True)
class Course:
    """How one reading went."""

    name: str
    first: float
    last: float
    most: float
    fault: str = ""

    def __str__(self) -> str:
        unit = MIB if self.name.startswith(("memory", "bytes")) else 1.0
        shown = ", ".join(f"{what} {value / unit:,.1f}" for what, value in self._parts())
        return f"{self.name}: {shown}{' MiB' if unit > 1 else ''}{f'  <-- {self.fault}' if self.fault else ''}"

    def _parts(self) -> Sequence[tuple[str, float]]:
        return (("first", self.first), ("last", self.last), ("most", self.most))


def bound_of(name: str) -> Bound:
    """Raises LookupError for a reading that nobody has bounded."""
    for bound in BOUNDS:
        if re.fullmatch(bound.names, name):
            return bound
    raise LookupError(name)


def judged(samples: Sequence[Sample], rate: float, warm_up: float) -> list[Course]:
    """The course of each reading, with its fault if it left its bound. Early ones are counted out of growth alone."""
    names = sorted({name for sample in samples for name in sample.values})
    return [_course(name, samples, rate, warm_up) for name in names]


def _course(name: str, samples: Sequence[Sample], rate: float, warm_up: float) -> Course:
    bound = bound_of(name)
    end = samples[-1].at
    third = (end - warm_up) / 3
    spans = ((warm_up, warm_up + third), (end - third, end))
    # What is not there counts as nothing: a table of no rows, a key that was removed with its last element.
    first, last = (median(_within(samples, name, span)) for span in spans)
    most = max(sample.values.get(name, 0.0) for sample in samples)
    grown = last - first
    fault = ""
    if grown > bound.growth + bound.share * first and not _filling(name, end):
        fault = f"grew by more than {bound.growth:,.0f} and {bound.share:.0%}"
    elif most > bound.ceiling(rate):
        fault = f"more than {bound.ceiling(rate):,.0f}"
    return Course(name, first, last, most, fault)


def _within(samples: Sequence[Sample], name: str, span: tuple[float, float]) -> list[float]:
    begin, end = span
    read = [sample for sample in samples if _read(sample, name)]
    inside = [sample for sample in read if begin <= sample.at <= end]
    nearest = min(read, key=lambda sample: abs(sample.at - begin))  # where stores are seldom looked at in a short run
    return [sample.values.get(name, 0.0) for sample in inside or [nearest]]


def _read(sample: Sample, name: str) -> bool:
    """Whether readings of this kind were taken then: stores are looked at less often than processes."""
    kind = name.partition(" ")[0]
    return any(each.partition(" ")[0] == kind for each in sample.values)


def _filling(name: str, end: float) -> bool:
    """Before the first sweeps, records can only become more."""
    return name.startswith("rows") and end < _EARLY
