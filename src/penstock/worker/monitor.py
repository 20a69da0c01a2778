"""Looking at the children from outside, through their slots: one whose GIL is held cannot enforce a limit itself."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable
from typing import Any

from penstock.worker.kin import Kid, Kin
from penstock.worker.slots import Run

log = logging.getLogger("penstock.worker.keeper")

MARGIN = 1.5  #: seconds past its hard limit after which a run that nobody has judged is judged here
HELD = 5.0  #: seconds without a turn of its loop after which a run that its child has judged is ended with the child
STUCK = 10.0  #: seconds without a turn of its loop after which a child's stacks are written to standard error


class Monitor:
    """Looks once a second. `send` tells the supervisor."""

    def __init__(
        self,
        kin: Kin,
        send: Callable[[dict[str, Any]], None],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self.kin = kin
        self.send = send
        self.clock = clock
        self.monotonic = monotonic
        self._told: set[int] = set()  # children whose loop is stuck, as was said

    def look(self) -> None:
        """Enforce hard limits; notice loops that do not turn."""
        now = self.monotonic()
        for kid in self.kin:
            silence = now - kid.seat.counters().ticked
            runs = kid.seat.running()
            late = [run for run in runs if not run.judged and now > run.deadline + MARGIN]
            if late:
                self.kill(kid, late, "a task holds the process past its time limit")
            # its child has decided its end, and could not record it any more, nor see that nothing came of it
            deaf = [run for run in runs if run.judged and silence > HELD]
            if deaf:
                self.kill(kid, deaf, "a task that was to end holds the process")
            self._turning(kid, silence)

    def terminate(self, task_id: str) -> bool:
        """Have the child killed that runs this task and does not react; False if none does."""
        for kid in self.kin:
            runs = [run for run in kid.seat.running() if run.task_id == task_id and not run.judged]
            if runs:
                self.kill(kid, runs, "a task is to be terminated and holds the process")
                return True
        return False

    def kill(self, kid: Kid, runs: Iterable[Run], reason: str) -> None:
        """Ask for a child's end on account of these runs: past its limit one has failed, else it is revoked."""
        now = self.monotonic()
        judged = {
            run.task_id: {
                "limit": self._limit(run) if now > run.deadline else None,
                "task": self.kin.task(run),
                "started_at": run.started_at,
            }
            for run in runs
        }
        self.send({"kill": kid.pid, "judged": judged, "reason": f"{reason}: {', '.join(judged)}"})

    def _limit(self, run: Run) -> float:
        """Its hard limit in seconds: the deadline is on one clock, the beginning on another."""
        return round(run.deadline - self.monotonic() + self.clock() - run.started_at, 2)

    def _turning(self, kid: Kid, silence: float) -> None:
        if silence < STUCK:
            self._told.discard(kid.pid)
        elif kid.pid not in self._told:
            self._told.add(kid.pid)
            running = ", ".join(f"{self.kin.task(run)} {run.task_id}" for run in kid.seat.running())
            log.warning("the event loop of child %d has been stuck for %.0f s; it runs %s", kid.pid, silence, running)
            os.kill(kid.pid, signal.SIGUSR1)
