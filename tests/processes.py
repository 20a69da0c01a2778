"""Real processes for the integration and acceptance rings: started from the installed script, killed at will.

A `Launched` runs in a session of its own, so that nothing of it outlives its test, and keeps what it prints.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

T = TypeVar("T")


class Startable(ABC):
    """What `with` starts, and closes also if the start fails."""

    @abstractmethod
    def start(self) -> Self:
        """Return when it serves."""

    @abstractmethod
    def close(self) -> None:
        """End it and remove what it kept."""

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


PENSTOCK = str(Path(sys.executable).with_name("penstock"))


def eventually(probe: Callable[[], T], *, within: float = 60.0, every: float = 0.02, what: str = "") -> T:
    """Call `probe` until it answers something true, for at most `within` seconds; return that answer."""
    deadline = time.monotonic() + within
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what or probe}")
        time.sleep(every)


def share() -> tuple[int, int]:
    """Which one this is of the processes that test at the same time, and how many they are: they share a machine."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % count, count


#: ports that were given away: what has not been bound yet looks free
_given: set[int] = set()


def free_port() -> int:
    """A free port, on every address, outside the range that outgoing connections take theirs from.

    Otherwise a client that tries again and again while its server is down would one day be connected to itself, and a
    server that is started again would find its port taken by a connection that has just ended. Of processes that test
    at the same time, each has ports of its own: what one has been given, no other takes before it is bound.
    """
    low, high = _passing()
    number, count = share()
    ports = [port for port in range(15_000 + number, 60_000, count) if not low <= port <= high]
    for _ in range(100 if ports else 0):
        port = random.choice(ports)
        if port not in _given and _free(port):
            _given.add(port)
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def _passing() -> tuple[int, int]:
    """From which port to which outgoing connections take theirs, on Linux; elsewhere the range of RFC 6335."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except FileNotFoundError:
        return 49_152, 65_535
    return int(low), int(high)


def _free(port: int) -> bool:
    """Whether it can be bound on all addresses of this machine at once."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104
        try:
            probe = socket.socket(family)
        except OSError:  # a machine without this family
            continue
        with probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return False
    return True


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def _parents() -> list[tuple[int, int]]:
    """(process, parent) of all there are."""
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [(int(child), int(parent)) for child, parent in (line.split() for line in listing.splitlines())]


def children(pid: int) -> list[int]:
    """The processes that have `pid` as their parent."""
    return [child for child, parent in _parents() if parent == pid]


def tree(pid: int) -> list[int]:
    """`pid` and everything below it, parents first."""
    found, pairs = [pid], _parents()
    for each in found:
        found += [child for child, parent in pairs if parent == each]
    return found


def frozen(pid: int) -> list[int]:
    """The tree, stopped whole: what it was starting at this moment, too."""
    seen: list[int] = []
    while fresh := [each for each in tree(pid) if each not in seen]:
        for each in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGSTOP)
        seen += fresh
    return seen


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    return bool(state.stdout.strip()) and not state.stdout.strip().startswith("Z")


class Launched:
    """A process of the product."""

    def __init__(self, command: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.command = list(command)
        self.cwd = cwd
        self.env = {**clean_environment(), **(env or {})}
        self.log = cwd / f"log-{time.monotonic_ns()}.txt"
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command, cwd=self.cwd, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.process.pid

    def printed(self) -> str:
        """All that it and its children have printed."""
        return self.log.read_text(errors="replace")

    def prints(self, text: str, within: float = 60.0, running: bool = True) -> str:
        """Wait for `text` in its output; fail early if it ends without, unless others may say it (not `running`)."""

        def found() -> bool:
            if text in self.printed():
                return True
            assert not running or self.process.poll() is None, (
                f"ended with {self.process.returncode}:\n{self.printed()}"
            )
            return False

        eventually(found, within=within, what=f"{text!r} in the output of {self.command}")
        return self.printed()

    def kill_tree(self) -> None:
        """SIGKILL it and all below it as at one moment, like a container's end: nobody has time to start anything."""
        for pid in frozen(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        """Start it again, as it was started."""
        self.process = self._start()

    def stop(self, within: float = 30.0) -> int:
        """SIGTERM, then wait; whatever is left is killed. Return the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(within)
        finally:
            self.clean()

    def clean(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for pid in tree(self.pid)[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def clean_environment() -> dict[str, str]:
    """This process's environment without any setting of Penstock or Celery."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PENSTOCK_", "CELERY_"))}


@contextlib.contextmanager
def launched(*command: str, cwd: Path, env: Mapping[str, str] | None = None) -> Iterator[Launched]:
    """`penstock …` in its own session, stopped at the end."""
    process = Launched([PENSTOCK, *command], cwd, env)
    try:
        yield process
    finally:
        process.clean()
