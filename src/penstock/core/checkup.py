"""What `penstock doctor` finds: values only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "weak", "wrong"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `weak` works but may cost tasks or secrets one day; `wrong` does not work."""

    check: str
    verdict: Verdict
    detail: str  #: for people: what was found, and what to do; without secrets
