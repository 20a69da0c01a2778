"""What came out of a run: a number for each figure, contender and round; and medians and ratios made of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Summary:
    """Of some rounds."""

    median: float
    least: float
    most: float
    count: int  #: of rounds


@dataclass(slots=True)
class Results:
    """Rounds are numbered from 0."""

    rounds: int
    about: dict[str, Any] = field(default_factory=dict)  #: date, machine, versions
    values: dict[str, dict[str, dict[int, float]]] = field(default_factory=dict)  #: figure → contender → round → number
    syncs: list[float] = field(default_factory=list)  #: microseconds, before each measurement
    idle: list[float] = field(default_factory=list)  #: per cent, before each measurement
    failures: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)  #: for want of time

    def add(self, figure: str, contender: str, number: int, value: float) -> None:
        self.values.setdefault(figure, {}).setdefault(contender, {})[number] = value

    def summary(self, figure: str, contender: str) -> Summary | None:
        """None for what was not measured."""
        return _summary(list(self.values.get(figure, {}).get(contender, {}).values()))

    def combined(
        self, one: tuple[str, str], other: tuple[str, str], combine: Callable[[float, float], float]
    ) -> Summary | None:
        """Of two (figure, contender), combined within each round, for rounds differ more than their neighbours.

        Without rounds in which one of the two is 0: too short for its clock (with a small SCALE).
        """
        first, second = (self.values.get(figure, {}).get(contender, {}) for figure, contender in (one, other))
        both = [(first[number], second[number]) for number in first if number in second]
        return _summary([combine(*each) for each in both if all(each)])


def _summary(values: list[float]) -> Summary | None:
    return Summary(statistics.median(values), min(values), max(values), len(values)) if values else None
