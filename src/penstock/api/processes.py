"""Several server processes on one port: forked, watched, replaced when one dies, ended together.

A process tells through a pipe that it is ready, and ends when the supervisor does, however that ends: the other end of
a second pipe closes then. The supervisor runs no application code besides the import of the app.
"""

from __future__ import annotations

import gc
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

from penstock.core.errors import PenstockError

log = logging.getLogger("penstock.api")

PAUSE = 1.0  # seconds before a process that never got ready is tried again
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
FAULTY = 3  # exit code of a process whose surroundings do not let it start

Serve = Callable[[int, Callable[[], None]], None]  #: which process it is, and what to call when it is ready


class Processes:
    """The table of processes, one for each socket. `run` until a signal."""

    def __init__(self, sockets: Sequence[socket.socket], serve: Serve, ready: Callable[[], None]) -> None:
        self.sockets = sockets
        self.serve = serve
        self.ready = ready
        self.table: dict[int, int] = {}  # pid → which socket
        self.waiting: dict[int, float] = {}  # socket → when to start a process for it again
        self.unready = set(range(len(sockets)))
        self.signals: list[int] = []  # that came and were not dealt with yet
        self.stopping = False
        self.failed = False
        self.news, self._tell = os.pipe()  # a process that is ready writes its number here
        self._lifeline, self._life = os.pipe()  # closed with the supervisor

    def run(self) -> int:
        """Start all, keep all, end all; return the exit code."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in SIGNALS:
            signal.signal(number, self._signalled)
        gc.collect()
        gc.freeze()  # what is there now is shared by all processes: a collection must not write into it
        self._start(0)  # the others when it is ready: what keeps it from starting is told once
        while self.table or (self.waiting and not self.stopping):
            while self.signals:
                self._stop(self.signals.pop(0))
            readable, _, _ = select.select([woken, self.news], [], [], self._pause())
            if woken in readable:
                os.read(woken, 4096)
            if self.news in readable:
                self._note_ready(os.read(self.news, 4096))
            self._bury()
            self._restart()
        return 1 if self.failed else 0

    def _pause(self) -> float | None:
        return max(0.0, min(self.waiting.values()) - time.monotonic()) if self.waiting else None

    def _signalled(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002  (a signal handler's shape)
        if number != signal.SIGCHLD:
            self.signals.append(number)

    def _stop(self, number: int) -> None:
        """Let nobody in any more, and pass the signal on; a second SIGINT reaches the processes too."""
        self.stopping = True
        self.waiting.clear()
        for each in self.sockets:
            each.close()
        for pid in self.table:
            os.kill(pid, number)

    def _start(self, place: int) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # none is to reach a child that has our handlers still
        pid = os.fork()
        if pid:
            self.table[pid] = place
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            return
        code = FAULTY
        try:
            self._be(place)
            code = 0
        except PenstockError as fault:
            sys.stderr.write(f"error: {fault}\n")
        except BaseException:  # this process is at its end here, whatever happened
            log.exception("a server process failed")
            code = 1
        finally:
            logging.shutdown()
            os._exit(code)

    def _be(self, place: int) -> None:
        """Be the process for a socket."""
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.setpgid(0, 0)  # Ctrl-C comes from the supervisor, once
        os.close(self._life)
        for other, each in enumerate(self.sockets):
            if other != place:
                each.close()
        threading.Thread(target=_end_with, args=(self._lifeline,), name="lifeline", daemon=True).start()

        def started() -> None:
            os.write(self._tell, bytes([place]))

        self.serve(place, started)

    def _note_ready(self, places: bytes) -> None:
        before = set(self.unready)
        self.unready -= set(places)
        if 0 in before - self.unready and not self.stopping:
            for place in range(1, len(self.sockets)):
                self._start(place)
        if before and not self.unready:
            self.ready()

    def _bury(self) -> None:
        """Take note of processes that have ended."""
        while self.table:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            place = self.table.pop(pid, None)
            if place is None or self.stopping:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code == FAULTY and place in self.unready:
                self.failed = True
                self._stop(signal.SIGTERM)
                continue
            log.error("server process %d ended with %d; it is replaced", pid, code)
            self.waiting[place] = time.monotonic() + (PAUSE if place in self.unready else 0.0)

    def _restart(self) -> None:
        now = time.monotonic()
        for place in [place for place, due in self.waiting.items() if due <= now]:
            del self.waiting[place]
            self._start(place)


def _end_with(lifeline: int) -> None:
    """SIGTERM to this process once the other end of the pipe is closed."""
    os.read(lifeline, 1)
    os.kill(os.getpid(), signal.SIGTERM)
