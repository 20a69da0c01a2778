"""Time for tests: it stands still until the test moves it. Touches nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from penstock.core.times import unix


class Clock:
    """A clock that stands still; calling it tells the time in unix seconds. It starts `at` a time, or now.

    A datetime without a zone is UTC.
    """

    def __init__(self, at: datetime | float | None = None) -> None:
        self._now = time.time() if at is None else _seconds(at)

    def __call__(self) -> float:
        return self._now

    @property
    def now(self) -> datetime:
        """The time as a datetime (UTC)."""
        return datetime.fromtimestamp(self._now, UTC)

    def advance(self, seconds: float | timedelta) -> None:
        """Let time pass. Raises ValueError for less than nothing."""
        passing = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if passing < 0:
            raise ValueError(f"advance({seconds}): time does not go back; Clock(at=…) starts wherever you like")
        self._now += passing

    def move_to(self, moment: datetime | float) -> None:
        """Let time pass until `moment`. Raises ValueError if it is past."""
        self.advance(_seconds(moment) - self._now)

    def __repr__(self) -> str:
        return f"<Clock {self.now.isoformat()}>"


def _seconds(moment: datetime | float) -> float:
    return unix(moment) if isinstance(moment, datetime) else float(moment)
