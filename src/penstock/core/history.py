"""What happened over time, in small roll-ups: how many runs ended how, how long they took, how full queues were.

A roll-up covers one period of time of one of three lengths. Everybody who has something to add merges it into the
roll-ups that are kept; run times are counted in classes, so that percentiles of sums can be told (to within a fifth).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from penstock.core.record import Ending

SHORTEST = 1e-4  # seconds of the first class of run times
CLASSES = 60  # each is the square root of two times as long as the one before: the last begins at 22 hours
QUEUES = 50  # that one roll-up tells of


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time that can be looked at, and the roll-ups that it consists of."""

    name: str
    step: int  #: seconds of a roll-up
    number: int  #: of roll-ups

    @property
    def kept(self) -> float:
        """Seconds for which its roll-ups are kept: twice the span."""
        return 2.0 * self.step * self.number


SPANS = {each.name: each for each in (Span("1h", 60, 60), Span("1d", 600, 144), Span("7d", 3600, 168))}


class Depth(msgspec.Struct, array_like=True):
    """How full a queue was at most, and the greatest age of its oldest ready message, in seconds."""

    ready: int = 0
    oldest: float = 0.0


class RollUp(msgspec.Struct, omit_defaults=True):
    """What happened in one period."""

    ended: dict[str, int] = msgspec.field(default_factory=dict)  #: runs by the state that they ended in
    runs: dict[int, int] = msgspec.field(default_factory=dict)  #: runs by the class of their time
    queues: dict[str, Depth] = msgspec.field(default_factory=dict)

    def count(self, endings: Iterable[Ending]) -> None:
        """Add runs that ended."""
        ended, runs = self.ended, self.runs
        for each in endings:
            ended[each.state] = ended.get(each.state, 0) + 1
            if each.started_at is not None:
                place = class_of(each.finished_at - each.started_at)
                runs[place] = runs.get(place, 0) + 1

    def merge(self, other: RollUp) -> None:
        """Add what another one tells of the same period."""
        for mine, theirs in ((self.ended, other.ended), (self.runs, other.runs)):
            _add(mine, theirs)  # type: ignore[arg-type]
        for name, depth in other.queues.items():
            if name in self.queues or len(self.queues) < QUEUES:
                known = self.queues.get(name, Depth())
                self.queues[name] = Depth(max(known.ready, depth.ready), max(known.oldest, depth.oldest))

    def percentile(self, share: float) -> float | None:
        """The run time in seconds that this share (0 to 1) of the runs did not exceed; None if there was no run."""
        left = math.ceil(share * sum(self.runs.values()))
        for place in sorted(self.runs):
            left -= self.runs[place]
            if left <= 0:
                return SHORTEST * math.exp2((place + 0.5) / 2)
        return None


@dataclass(slots=True)
class Chronicle:
    """What one process has seen and not yet told: a roll-up a minute."""

    minutes: dict[int, RollUp] = field(default_factory=dict)

    def count(self, endings: Iterable[Ending], now: float) -> None:
        """Add runs that ended about now."""
        self._minute(now).count(endings)

    def depths(self, depths: Mapping[str, Depth], now: float) -> None:
        """Note how full queues are now."""
        self._minute(now).merge(RollUp(queues=dict(depths)))

    def taken(self) -> dict[int, RollUp]:
        """What there is to tell, by the unix time of its minute's begin; it is not kept here any more."""
        taken, self.minutes = self.minutes, {}
        return taken

    def _minute(self, now: float) -> RollUp:
        return self.minutes.setdefault(int(now // 60) * 60, RollUp())


def class_of(seconds: float) -> int:
    """The class of a run time."""
    if seconds <= SHORTEST:
        return 0
    return min(CLASSES - 1, int(2.0 * math.log2(seconds / SHORTEST)))


def _add(mine: dict[str | int, int], theirs: Mapping[str | int, int]) -> None:
    for key, number in theirs.items():
        mine[key] = mine.get(key, 0) + number
