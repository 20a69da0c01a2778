"""What ONLY= picks: contenders, measurements or both, by the beginnings or ends of their names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol, TypeVar

from bench.contender import Contender
from bench.contenders import CONTENDERS
from bench.measurement import Measurement
from bench.measurements import MEASUREMENTS


class Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


class UnknownError(Exception):
    """A word of ONLY= names nothing."""


def words() -> list[str]:
    """Those of ONLY=; none: everything. Raises UnknownError."""
    found = os.environ.get("ONLY", "").replace(",", " ").split()
    known = [*(each.name for each in CONTENDERS), *(each.name for each in MEASUREMENTS)]
    if unknown := [word for word in found if not any(_names(word, name) for name in known)]:
        raise UnknownError(f"ONLY={','.join(unknown)} names nothing; known are {', '.join(known)}")
    return found


def contenders(picked: Sequence[str]) -> tuple[Contender, ...]:
    """Those, with what they are compared with: the first one on each broker."""
    ours = {each.broker: each for each in reversed(CONTENDERS)}
    found = _picked(CONTENDERS, picked)
    wanted = {*found, *(ours[each.broker] for each in found)}
    return tuple(each for each in CONTENDERS if each in wanted)


def measurements(picked: Sequence[str]) -> tuple[Measurement, ...]:
    return _picked(MEASUREMENTS, picked)


def _picked(named: Sequence[N], picked: Sequence[str]) -> tuple[N, ...]:
    """Those that some word names; all of them where no word names any."""
    found = tuple(each for each in named if any(_names(word, each.name) for word in picked))
    return found or tuple(named)


def _names(word: str, name: str) -> bool:
    return name == word or name.startswith(f"{word}-") or name.endswith(f"-{word}")
