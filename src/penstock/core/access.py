"""What PENSTOCK_API_KEYS and PENSTOCK_API_RATE_LIMIT may say. The API enforces it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

#: What a key may be allowed to do; "none": no key is needed.
Scope = Literal["none", "submit", "read", "operate"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
GRANTED: Final = frozenset(SCOPES) - {"none"}
SHORTEST: Final = 16  #: characters of a secret

_ENTRY: Final = re.compile(r"(?P<secret>[A-Za-z0-9._~+/-]+=*?)(=(?P<scopes>[a-z][a-z+]*))?")
_RATE: Final = re.compile(r"(?P<count>[1-9][0-9]{0,8})/(?P<period>[smh])")
_PERIODS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


def key(entry: str) -> tuple[str, frozenset[str]]:
    """The (secret, scopes) of `SECRET` or `SECRET=submit+read`. Raises ValueError, which does not tell the secret."""
    match = _ENTRY.fullmatch(entry)
    if match is None:
        raise ValueError("has characters other than letters, digits and -._~+/ (then = signs)")
    if len(match["secret"]) < SHORTEST:
        raise ValueError(f"is shorter than {SHORTEST} characters")
    scopes = frozenset(match["scopes"].split("+")) if match["scopes"] else GRANTED
    if not scopes <= GRANTED:
        raise ValueError(f"names a scope that does not exist; there are {', '.join(sorted(GRANTED))}")
    return match["secret"], scopes


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` requests in `period` seconds."""

    count: int
    period: float

    @classmethod
    def parse(cls, text: str) -> Rate | None:
        """The rate that 100/s, 600/m or 1000/h says, for each key; None for an empty text. Raises ValueError."""
        if not text:
            return None
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a rate such as 100/s, 600/m or 1000/h")
        return cls(int(match["count"]), _PERIODS[match["period"]])


def faults(entries: tuple[str, ...], rate: str) -> dict[str, list[str]]:
    """What is wrong with keys and rate, by setting."""
    found: dict[str, list[str]] = {"api_keys": [], "api_rate_limit": []}
    for number, entry in enumerate(entries, 1):
        try:
            key(entry)
        except ValueError as fault:
            found["api_keys"].append(f"key {number} {fault}")
    try:
        Rate.parse(rate)
    except ValueError as fault:
        found["api_rate_limit"].append(str(fault))
    return found
