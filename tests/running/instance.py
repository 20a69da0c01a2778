"""One instance of a unit: started, asked for its health, restarted, stopped and killed."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests import servers
from tests.processes import tree
from tests.running.images import Program, group_of
from tests.running.units import Check, Unit

RESTART_AFTER = 0.3  #: seconds
UNTIL_READY = 0.25  #: seconds between two questions before the first good answer; the file's own pace comes after it


class Instance:
    """A place for one process, on a thread that keeps it running until `stop`."""

    def __init__(
        self, unit: Unit, number: int, address: str, *, log: Path, make: Callable[[], Program], met: Callable[[], bool]
    ) -> None:
        """`make` says what to start, once; `met` whether what it needs is ready."""
        self.unit = unit
        self.number = number
        self.address = address
        self.log = log
        self.ready = False
        self.starts = 0
        self.error: Exception | None = None
        self.farewell: subprocess.CompletedProcess[str] | None = None  #: what ran before the stop, once that has ended
        self._make = make
        self._met = met
        self._program: Program | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"{unit.name}-{number}", daemon=True)

    # --------------------------------------------------------------------------------------------------- from outside

    def start(self) -> None:
        """Begin; it runs and is ready later."""
        self._thread.start()

    @property
    def pid(self) -> int:
        """Of the process that runs now, or of the last one."""
        assert self._process is not None, (
            f"{self.unit.name} has not started: {self.error or 'what it needs is not ready'}"
        )
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def printed(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self) -> None:
        """SIGKILL it and all below it; it is started again, if its file says so."""
        self.ready = False
        for pid in tree(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def leave(self, *, at_once: bool = False) -> None:
        """Ask it to end: what runs before the stop (not `at_once`), then SIGTERM. Not started again."""
        if self._stopping.is_set():
            return
        self.ready = False
        if self.running and self.unit.before_stop and not at_once:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.farewell = self.inside(self.unit.before_stop, self.unit.stop)
        self._stopping.set()
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, self._goodbye())

    def stop(self) -> int | None:
        """Leave, wait, and kill what is left after the unit's time. Return the exit code."""
        self.leave()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(self.unit.stop)
            self.kill()
            self._ended()
        if self._thread.is_alive():
            self._thread.join(30)
        return self._process.returncode if self._process else None

    def remove(self) -> None:
        """Stop it and forget what the server it was had kept."""
        self.stop()
        if self._program is not None and self._program.server is not None:
            self._program.server.close()

    def inside(self, command: tuple[str, ...], timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command where the process runs, with its variables."""
        made = self._program
        assert made is not None, f"{self.unit.name} has not started"
        return subprocess.run(
            [made.inside.text(_expanded(word, made)) for word in command], env=dict(made.environment), cwd=made.folder,
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    # -------------------------------------------------------------------------------------------------- on its thread

    def _live(self) -> None:
        while not self._met():
            if self._stopping.wait(0.05):
                return
        try:
            self._program = self._make()
            while not self._stopping.is_set():
                self._begin(self._program)
                self._watch()
                self.ready = False
                self._ended()
                if not self.unit.restart or self._stopping.wait(RESTART_AFTER):
                    return
        except Exception as error:  # told by whoever waits for it: a thread has nobody to raise to
            self.error = error

    def _begin(self, made: Program) -> None:
        self.starts += 1
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                made.command, cwd=made.folder, env=dict(made.environment), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True, user=made.user, group=group_of(made.user),
                extra_groups=[] if made.user else None,
            )  # fmt: skip
        servers._reaper("run", self._process.pid)

    def _watch(self) -> None:
        """Return when the process has ended."""
        assert self._process is not None
        begun, unit = time.monotonic(), self.unit
        ready, alive = _Asked(unit.ready or unit.alive), _Asked(unit.alive)
        while self._process.poll() is None:
            if not self._stopping.is_set():
                ready.ask(self)
                self.ready = not self._stopping.is_set() and (ready.check is None or ready.good)
                if self.ready or time.monotonic() - begun > (unit.alive.grace if unit.alive else 0):
                    alive.ask(self)
                if alive.check is not None and alive.failures >= alive.check.failures:
                    self.kill()
            time.sleep(0.05)

    def answers(self, check: Check) -> bool:
        """Ask once."""
        if check.command:
            try:
                return self.inside(check.command, check.timeout + 10).returncode == 0
            except (OSError, subprocess.TimeoutExpired):
                return False
        if check.path:
            return self._responds(check)
        with contextlib.suppress(OSError), socket.create_connection((self.address, check.port), check.timeout):
            return True
        return False

    def _responds(self, check: Check) -> bool:
        connection = http.client.HTTPConnection(self.address, check.port, timeout=check.timeout)
        try:
            connection.request("GET", check.path)
            return 200 <= connection.getresponse().status < 400
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _goodbye(self) -> signal.Signals:
        server = self._program.server if self._program else None
        return server.goodbye if server is not None else signal.SIGTERM

    def _ended(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        servers._reaper("end", self._process.pid)


class _Asked:
    """A check, and how it went so far: often until the first good answer, then at the file's own pace."""

    def __init__(self, check: Check | None) -> None:
        self.check = check
        self.good = False
        self.failures = 0
        self._next = 0.0

    def ask(self, instance: Instance) -> None:
        if self.check is None or time.monotonic() < self._next:
            return
        if instance.answers(self.check):
            self.good, self.failures = True, 0
        else:
            self.failures += 1
            self.good = self.good and self.failures < self.check.failures
        self._next = time.monotonic() + (self.check.every if self.good else UNTIL_READY)


def _expanded(word: str, made: Program) -> str:
    for name, value in made.environment.items():
        word = word.replace(f"$({name})", value)
    return word
