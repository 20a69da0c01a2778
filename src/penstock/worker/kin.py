"""The children as the keeper sees them: their leases, and through the shared memory what they are doing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from penstock.worker import process
from penstock.worker.slots import Run, Seat

_SHOWN = 100  # runs of a child that a report names
_LEAST = 0.5  # seconds over which CPU time is measured: the system counts it in hundredths


@dataclass(slots=True, kw_only=True)
class Kid:
    """One living child."""

    pid: int
    seat: Seat
    leases: list[str] = field(default_factory=list)  #: the newest last; only that one is renewed
    measured: tuple[float, float] | None = None  #: when (monotonic), and the seconds of CPU time used until then
    cpu: float | None = None  #: share of one core in the time before that

    @property
    def lease(self) -> str:
        return self.leases[-1]


class Kin:
    """The living children by pid, and the names of tasks for the numbers in their slots."""

    def __init__(
        self,
        seats: list[Seat],
        tasks: list[str],
        used: Callable[[int], float | None] = process.used,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._used = used
        self._monotonic = monotonic
        self.kids: dict[int, Kid] = {}
        self._seats = seats
        self._tasks = tasks

    def __iter__(self) -> Iterator[Kid]:
        return iter(list(self.kids.values()))

    def born(self, pid: int, seat: int, leases: list[str]) -> None:
        """A child began, or took another lease."""
        kid = self.kids.setdefault(pid, Kid(pid=pid, seat=self._seats[seat]))
        kid.leases += [lease for lease in leases if lease not in kid.leases]

    def died(self, pid: int) -> None:
        self.kids.pop(pid, None)

    def task(self, run: Run) -> str:
        """The name of a run's task."""
        return self._tasks[run.task] if run.task < len(self._tasks) else ""

    def status(self) -> dict[str, Any]:
        """What all of them do, for the worker's report."""
        children = [self._status(kid) for kid in self]
        return {"children": children, "processed": sum(child["processed"] for child in children)}

    def _status(self, kid: Kid) -> dict[str, Any]:
        counters = kid.seat.counters()
        self._measure(kid)
        running = [
            {"task_id": run.task_id, "task": self.task(run), "started_at": run.started_at, "deliveries": run.deliveries}
            for run in kid.seat.running()[:_SHOWN]
        ]
        return {
            "pid": kid.pid,
            "lease": kid.lease,
            "processed": counters.processed,
            "resident": counters.resident,
            "cpu": kid.cpu,
            "running": running,
        }

    def _measure(self, kid: Kid) -> None:
        """How busy a child was since it was looked at last."""
        now, seconds = self._monotonic(), self._used(kid.pid)
        if seconds is None:
            kid.measured = kid.cpu = None
        elif kid.measured is None:
            kid.measured = (now, seconds)
        elif now - kid.measured[0] >= _LEAST:
            kid.cpu = max(0.0, round((seconds - kid.measured[1]) / (now - kid.measured[0]), 3))
            kid.measured = (now, seconds)
