"""Schedules as values: when a task is due, and what becomes of due times that were missed.

Cron expressions are cronsim's (Debian cron's rules, five fields, or six with seconds first); due times around clock
changes follow it too: a skipped hour fires once right after, a repeated hour fires once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from penstock.core.errors import ConfigurationError

#: What to do about due times that passed while no scheduler ran: fire one late ("once"), none that is more than
#: LATE seconds late ("skip"), or every single one in order ("all").
Missed = Literal["once", "skip", "all"]
LATE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A task and when it is due: by a `cron` expression in a time zone, or `every` so many seconds."""

    name: str
    task: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    cron: str = ""
    every: float = 0.0  #: seconds
    timezone: str = "UTC"
    missed: Missed = "once"
    options: dict[str, Any] = field(default_factory=dict)  #: submission options: queue, priority, expires …

    def __post_init__(self) -> None:
        faults = [fault for fault in (self._when_fault(), self._zone_fault(), self._missed_fault()) if fault]
        if faults:
            raise ConfigurationError(*(f"schedule {self.name!r}: {fault}" for fault in faults))

    def _when_fault(self) -> str:
        if bool(self.cron) == bool(self.every):
            return "give either a cron expression or every=SECONDS"
        if self.every and not 0.1 <= self.every <= 3.2e9:
            return f"every={self.every!r}: must be between 0.1 seconds and a hundred years"
        return _cron_fault(self.cron) if self.cron else ""

    def _zone_fault(self) -> str:
        try:
            ZoneInfo(self.timezone)
        except (LookupError, ValueError, OSError):
            return f"unknown time zone {self.timezone!r}"
        return ""

    def _missed_fault(self) -> str:
        return "" if self.missed in get_args(Missed) else f"missed={self.missed!r}: must be one of {get_args(Missed)}"

    def first_due(self, now: float) -> float:
        """The first due time of a schedule that is seen for the first time at `now` (unix seconds)."""
        return now + self.every if self.every else self.next_due(now, now)

    def next_due(self, due: float, now: float) -> float:
        """The due time after `due`, which was dealt with at `now`; later than `now` unless missed="all"."""
        floor = due if self.missed == "all" else max(due, now)
        if self.every:
            return due + self.every * (int((floor - due) // self.every) + 1)
        start = datetime.fromtimestamp(floor, UTC).astimezone(ZoneInfo(self.timezone))
        return next(CronSim(self.cron, start)).timestamp()

    def fires(self, due: float, now: float) -> bool:
        """Whether a due time that is looked at only `now` is still to be fired."""
        return self.missed != "skip" or now - due <= LATE

    def task_id(self, due: float) -> str:
        """The id of the task that fires for a due time: the same on every scheduler; a second submit is refused.

        Laid out as a UUIDv7 (RFC 9562 §5.7) whose random part is a hash of the schedule's name.
        """
        digest = hashlib.sha256(f"{self.name}\0{due:.3f}".encode()).hexdigest()
        head = f"{int(due * 1000):012x}"
        return f"{head[:8]}-{head[8:]}-7{digest[:3]}-{'89ab'[int(digest[3], 16) & 3]}{digest[4:7]}-{digest[7:19]}"


@dataclass(slots=True, kw_only=True)
class ScheduleEntry:
    """A schedule as it stands in the result backend. Times are unix seconds."""

    schedule: Schedule
    app: str  #: name of the app that declares it
    next_due: float
    paused: bool = False
    last_due: float | None = None
    last_task_id: str = ""
    fired: int = 0  #: how often


def _cron_fault(expression: str) -> str:
    try:
        next(CronSim(expression, datetime.now(UTC)))
    except (CronSimError, StopIteration) as error:
        return f"cron expression {expression!r}: {str(error) or 'never due'}"
    return ""
