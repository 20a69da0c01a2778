"""Points in time: unix seconds inside, ISO 8601 on the wire. A date without an offset is UTC."""

from __future__ import annotations

from datetime import UTC, datetime

_FIRST = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST = datetime.max.replace(tzinfo=UTC).timestamp()


def iso(moment: float) -> str:
    """`1700000000.5` → `"2023-11-14T22:13:20.500000+00:00"`. Raises ValueError outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(moment, UTC).isoformat()
    except (OverflowError, OSError) as error:
        raise ValueError(f"{moment} is no time that a calendar has") from error


def unix(moment: datetime) -> float:
    """Unix seconds of a datetime; a naive one is UTC. Raises ValueError where UTC has no such year."""
    found = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not _FIRST <= found <= _LAST:  # its offset leads out of the calendar
        raise ValueError(f"{moment} is outside the years 1 to 9999 in UTC")
    return found


def parse(text: str) -> float:
    """Unix seconds of an ISO 8601 text; offsets, a final `Z` and fractions are fine. Raises ValueError."""
    return unix(datetime.fromisoformat(text))
