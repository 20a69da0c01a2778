"""The supervisor: imports the APP once, forks the keeper and the children, and keeps that many alive.

One thread, no event loop, no connections: forking is safe at any time. It waits in one place: for signals, notes on its
links and the next deadline. What only the keeper knows (letters, limits passed) reaches the children through it.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import selectors
import signal
import subprocess
import sys
import threading
import time

from penstock.client.app import Penstock
from penstock.client.backends import require_shared
from penstock.client.loader import load_app
from penstock.core.ids import new_id
from penstock.worker import child, keeper, logs, output, process, slots, user
from penstock.worker.family import Death, Family, Member
from penstock.worker.links import Link, Note, pair
from penstock.worker.options import Plan, WorkerOptions, plan
from penstock.worker.output import Tap, Taps
from penstock.worker.signals import Signals

log = logging.getLogger("penstock.worker")

SLACK = 5.0  #: seconds beyond its time after which a process that should have ended is killed
PAUSE, LONGEST_PAUSE = 0.1, 10.0  #: seconds before another try at a process that died before it was ready; doubling
_IMPORT = "import sys; from penstock.client.loader import load_app; load_app(sys.argv[1])"
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1)


def run(app_path: str, options: WorkerOptions) -> int:
    """Run a worker until it is told to end; return the exit code. Blocks, installs signal handlers, forks.

    Raises ConfigurationError for what is wrong before anything was started.
    """
    user.become(options.uid)
    app = load_app(app_path)
    logs.adopt()
    return serve(app, options, app_path)


def serve(app: Penstock, options: WorkerOptions, app_path: str = "") -> int:
    """Run a worker of this app, which stands at `app_path`; as `run`."""
    require_shared(app.settings)
    app.backends()  # imports the back ends' modules, for all children at once, and finds faults in the URLs
    planned = plan(app, options)
    planned.check()
    supervisor = Supervisor(planned, app_path, options.lifeline, options.ready)
    if threading.active_count() > 1:
        log.warning("importing %s started threads; they do not exist in the worker's processes", app_path)
    code = supervisor.run()
    if supervisor.reloading and not code:
        os.execvp(sys.orig_argv[0], sys.orig_argv)  # noqa: S606 - the same program again, with the code as it is now
    return code


class Supervisor:
    """The process table and what moves it."""

    def __init__(self, plan: Plan, app_path: str, lifeline: int | None = None, ready: int | None = None) -> None:
        self.plan = plan
        self.app_path = app_path
        # a slot for each thread, program and coroutine; twice as many seats as children, because a new one starts while
        # the one that it replaces still finishes its tasks
        self.family = Family(slots.seats(2 * plan.processes + 2, 2 * plan.threads + plan.concurrency))
        self.deaths: dict[int, Death] = {}  #: by pid, until the keeper has dealt with them
        self.stopping = False
        self.reloading = False
        self.code = 0  #: not 0: it cannot start, which was said in one line; what follows from it is not told
        self.announced = False
        self._failures = 0  # in a row, of processes that were not ready yet
        self._not_before = 0.0  # monotonic: the next fork
        self._lifeline = lifeline
        self._ready = ready
        self._selector = selectors.DefaultSelector()
        self._taps = Taps(self._selector)

    def run(self) -> int:
        """Keep the family alive until it is told to end; return the exit code."""
        self._signals = Signals(_SIGNALS)
        self._selector.register(self._signals, selectors.EVENT_READ)
        if self._lifeline is not None:
            self._selector.register(self._lifeline, selectors.EVENT_READ)
        logs.keep(self._said)
        gc.freeze()  # what is there now is never collected, so its pages stay shared
        while True:
            self._populate()
            if self.stopping and not self.family.members:
                return self.code
            self._wait()
            for number in self._signals.take():
                self._signalled(number)
            for member in list(self.family.members.values()):
                self._listen(member)
                self._reap(member)
            self._overdue()

    # --------------------------------------------------------------------------------------------------------- waiting

    def _wait(self) -> None:
        """Until something is readable, or the next deadline."""
        now = time.monotonic()
        dues = [member.kill_at for member in self.family.members.values()]
        if self._missing():
            dues.append(self._not_before)
        due = min(dues, default=now + 60.0)
        for member in self.family.members.values():
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if member.link.unsent else 0)
            if self._selector.get_key(member.link).events != events:
                self._selector.modify(member.link, events)
        for key, _ in self._selector.select(min(max(0.0, due - now), 60.0)):
            if key.fileobj == self._lifeline:
                self._selector.unregister(self._lifeline)
                self._drain("the lifeline is cut")
            elif isinstance(key.fileobj, Tap):
                self._taps.read(key.fileobj)

    def _signalled(self, number: int) -> None:
        if number in {signal.SIGTERM, signal.SIGINT}:
            self._drain(signal.Signals(number).name)
        elif number == signal.SIGHUP:
            self._reload()
        elif number == signal.SIGUSR1:
            for member in self.family.members.values():
                os.kill(member.pid, signal.SIGUSR1)

    def _reload(self) -> None:
        """Drain, and begin anew with the code as it is now; if it cannot be imported the old one goes on."""
        command = [sys.executable, "-c", _IMPORT, self.app_path]
        if self.app_path and subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode:
            log.error("SIGHUP: %s cannot be imported as it is now; going on as before", self.app_path)
        else:
            self.reloading = True
            self._drain("SIGHUP: reloading")

    def _drain(self, reason: str) -> None:
        """The first time: end gently. Again: at once, everything handed back."""
        grace = 0.0 if self.stopping else self.plan.grace
        if not self.code:
            log.info("%s: %s", reason, "handing back at once" if self.stopping else f"draining, at most {grace:g} s")
        self.stopping = True
        for member in self.family.children:
            member.link.send({"drain": grace, "reason": reason})
            member.kill_at = min(member.kill_at, time.monotonic() + grace + SLACK)

    # ---------------------------------------------------------------------------------------------------------- births

    def _missing(self) -> bool:
        family = self.family
        if family.keeper is None and (family.children or not self.stopping):
            return True  # without it leases lapse, also those of children that finish their tasks
        return not self.stopping and len(family.active) < self.plan.processes

    def _populate(self) -> None:
        """Fork who is missing; when ending, let the keeper go as the last."""
        family = self.family
        while self._missing() and time.monotonic() >= self._not_before:
            if family.keeper is None:
                self._fork(-1, "")
            elif (seat := family.free_seat()) is not None:
                family.seats[seat].clear(time.monotonic())
                self._fork(seat, new_id())
            else:
                self._not_before = time.monotonic() + 1.0  # all seats are taken by children that take their time
        if self.stopping and not family.children:
            self._dismiss()

    def _fork(self, seat: int, lease: str) -> None:
        here, there = pair()
        is_child = seat >= 0
        captures = is_child and self.plan.raw is None  # what a program prints for a raw message is passed on as it is
        taps = self._taps.prepare(self.family.seats[seat], sorted(self.plan.app.tasks)) if captures else []

        def be() -> None:
            self._shed(here)
            if taps:
                output.capture(taps)
            if is_child:
                child.work(self.plan, self.family.seats[seat], there, lease)
            known = [(member.pid, member.seat, member.leases) for member in self.family.children]
            deaths = [death.note() for death in self.deaths.values()]
            keeper.work(self.plan, self.family.seats, there, known, deaths)

        pid = process.fork(be)
        there.close()
        self._taps.begin(taps, pid)
        member = Member(pid=pid, link=here, seat=seat, leases=[lease] if is_child else [])
        self.family.members[pid] = member
        self._selector.register(here, selectors.EVENT_READ)
        if is_child:
            self._tell_keeper({"born": pid, "seat": seat, "lease": lease})
            log.debug("child %d started", pid)

    def _shed(self, here: Link) -> None:
        """In a new process: let go of what is the supervisor's own. That its ends of links close means its death."""
        logs.keep(lambda *_: None)
        self._selector.close()
        self._signals.close()
        self._taps.shed()
        for member in self.family.members.values():
            member.link.close()
        here.close()

    # ----------------------------------------------------------------------------------------------------------- notes

    def _listen(self, member: Member) -> None:
        member.link.flush()
        for note in member.link.receive():
            if member.is_child:
                self._from_child(member, note)
            else:
                self._from_keeper(member, note)

    def _from_child(self, member: Member, note: Note) -> None:
        if "retiring" in note:
            member.retiring = True
            if note["grace"] is not None:
                member.kill_at = min(member.kill_at, time.monotonic() + note["grace"] + SLACK)
        elif "lease" in note:
            member.leases.append(note["lease"])
            self._tell_keeper({"born": member.pid, "seat": member.seat, "lease": note["lease"]})
        elif "bye" in note:
            member.clean = True
        elif "enough" in note:
            self.stopping = True
        elif "answer" in note:
            self._tell_keeper({**note, "pid": member.pid})
        else:
            self._ready_or_not(member, note)

    def _from_keeper(self, member: Member, note: Note) -> None:
        if "letter" in note:
            for each in self.family.children:
                each.link.send(note)
        elif "lost" in note:
            if (holder := self.family.holder(note["lost"])) is not None:
                holder.link.send(note)
        elif "kill" in note:
            self._kill(note)
        elif "buried" in note:
            self.deaths.pop(note["buried"], None)
        elif "shutdown" in note:
            self._drain("shutdown was asked for")
        else:
            self._ready_or_not(member, note)

    def _ready_or_not(self, member: Member, note: Note) -> None:
        if "ready" in note:
            member.ready = True
            self._failures = 0
            self._announce()
        elif self.announced:
            log.error("%s", note["fatal"])
        elif not self.stopping:
            # for whoever started it: there may be no log
            print(f"error: {note['fatal']}", file=sys.stderr, flush=True)  # noqa: T201
            self.code = 1
            self.stopping = True
            self._drain("")

    def _announce(self) -> None:
        """Say once that everybody is there."""
        family, plan = self.family, self.plan
        everybody = len(family.active) == plan.processes and family.keeper is not None
        if everybody and not self.announced and all(member.ready for member in family.members.values()):
            self.announced = True
            log.info("ready: %s", plan)
            user.warn()  # not sooner: an error at the start should stand alone
            if self._ready is not None:
                with contextlib.suppress(BrokenPipeError):  # who waited for it is gone
                    os.write(self._ready, b"w")

    def _tell_keeper(self, note: Note) -> None:
        if (keeper := self.family.keeper) is not None:
            keeper.link.send(note)

    def _said(self, task_id: str, line: bytes) -> None:
        """What a task's process wrote past Python. It is not kept while the keeper does not keep up."""
        if (keeper := self.family.keeper) is not None and not keeper.link.unsent:
            keeper.link.send({"said": task_id, "line": line.decode()})

    # ---------------------------------------------------------------------------------------------------------- deaths

    def _kill(self, note: Note) -> None:
        """The keeper found tasks past their limit in a child that does not react."""
        member = self.family.members.get(note["kill"])
        if member is not None and not member.clean:
            log.warning("killing child %d: %s", member.pid, note["reason"])
            member.judged |= note["judged"]
            member.spared = True
            os.kill(member.pid, signal.SIGKILL)

    def _overdue(self) -> None:
        """Kill who should have ended."""
        now = time.monotonic()
        for member in self.family.members.values():
            if now >= member.kill_at:
                member.kill_at = now + SLACK
                member.spared = True
                os.kill(member.pid, signal.SIGKILL)

    def _reap(self, member: Member) -> None:
        pid, status = os.waitpid(member.pid, os.WNOHANG)
        if not pid:
            return
        self._listen(member)  # what it said last
        self._taps.bereave(pid)
        self._selector.unregister(member.link)
        member.link.close()
        del self.family.members[pid]
        how = _worded(status)
        if not member.ready and not self.stopping:
            self._failures += 1
            self._not_before = time.monotonic() + min(PAUSE * 2**self._failures, LONGEST_PAUSE)
        if member.is_child:
            self._mourn(member, how)
        elif not self.code and (not self.stopping or self.family.children):
            log.error("the keeper died (%s); starting another", how)

    def _mourn(self, member: Member, how: str) -> None:
        """Have the keeper release what the child held, and charge the tasks that had begun."""
        runs = [run for run in self.family.seats[member.seat].running() if not run.judged]
        charge = {} if member.clean or member.spared else {run.task_id: run.deliveries for run in runs}
        death = Death(pid=member.pid, leases=member.leases, how=how, charge=charge, judged=member.judged)
        self.deaths[member.pid] = death
        self._tell_keeper({"died": death.note()})
        if not member.clean and not self.code:
            what = ", ".join(run.task_id for run in runs) or "nothing"
            log.error("child %d died (%s) while it ran %s", member.pid, how, what)

    def _dismiss(self) -> None:
        """No child is left: the keeper may go."""
        keeper = self.family.keeper
        if keeper is not None and keeper.kill_at == math.inf:
            keeper.kill_at = time.monotonic() + SLACK
            keeper.link.send({"finish": True})


def _worded(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
