"""Being one process of a worker: its event loop, what it keeps from its parent, how it ends. Used after a fork."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import uvloop

log = logging.getLogger("penstock.worker")

_STATM = Path("/proc/self/statm")


def run(main: Coroutine[Any, Any, int]) -> None:
    """Run `main` on a fresh loop of the fast kind, and end the process with the exit code that it returns.

    At once: tasks that do not let themselves be cancelled would keep an orderly end waiting for ever.
    """

    async def live() -> None:
        leave(await main)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live())


def settle_in() -> None:
    """Signals of a process whose parent is told by the terminal and the service manager what to do.

    SIGINT goes to a terminal's whole group, SIGTERM to a service's: the parent decides what they mean. SIGUSR1 writes
    all stacks to standard error, even while something holds the GIL.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)


def leave(code: int) -> NoReturn:
    """End this process now, whatever its threads still do; what was logged is out."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def fork(main: Callable[[], None]) -> int:
    """Fork a process that runs `main`, and nothing else; the new process's id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        main()
    except BaseException:  # nothing of the parent's may run in the child
        log.exception("the process cannot go on")
    leave(1)


def used(pid: int) -> float | None:
    """Seconds of CPU time that a process has used; None where the system does not say, or it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()  # its name may hold anything
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident() -> int:
    """Bytes of memory that this process has in use; where the system does not say, the most it ever had."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
