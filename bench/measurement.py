"""What is measured: a name, its figures, and a function that makes them for one contender in a fresh folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contender import Contender


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the report."""

    name: str  #: unique in the report
    title: str
    unit: str
    more_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Measurement:
    """`run` returns one number for each figure, in their order. PATIENCE bounds each of its steps."""

    name: str  #: what ONLY= picks it by
    needs: str  #: what a contender must offer
    figures: tuple[Figure, ...]
    run: Callable[[Contender, Path], Sequence[float]]
    seconds: float = 5.0  #: that it takes for one contender, roughly, on a quiet machine
    rounds: int = 3  #: at most so many: what hardly varies, or takes long, is measured once
