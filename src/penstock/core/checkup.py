"""What `penstock doctor` finds: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "weak", "wrong"]
SKEW = 2.0  #: seconds by which clocks may differ


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `weak` works but may cost tasks or secrets one day; `wrong` does not work."""

    check: str
    verdict: Verdict
    detail: str  #: for people: what was found, and what to do; without secrets


def clock(whose: str, ahead: float) -> Finding:
    """How a clock stands to this machine's: so many seconds ahead of it, or behind it if less than 0."""
    if abs(ahead) <= SKEW:
        return Finding("clock", "ok", f"{whose} agrees with this one")
    told = f"{whose} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this one"
    return Finding("clock", "weak", f"{told}: delays, schedules and expiry go wrong by that much")
