"""What tasks and the programs that they start print: each line becomes an event with the task that wrote it.

In a child `sys.stdout` and `sys.stderr` are replaced, so that a task's `print` is known by its context. Whatever else
writes to descriptors 1 and 2 (a subprocess, a C library, Python as it crashes) writes into a pipe that the supervisor
reads: such a line has the child's pid, and the task's id where one task alone was running there.
"""

from __future__ import annotations

import faulthandler
import fcntl
import io
import logging
import os
import selectors
import struct
import sys
import termios
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TextIO

from penstock.client.context import Running, running
from penstock.worker import logs
from penstock.worker.slots import Seat

LONGEST: Final = 64 * 1024  #: characters or bytes without a line's end that are kept; then they are a line
_CHUNK: Final = 64 * 1024
_NAMES: Final = ("stdout", "stderr")
_NOTHING: Final = bytes(struct.calcsize("i"))


@dataclass(frozen=True, slots=True)
class _Begun:
    """The beginning of a line. It ends with its task at the latest: `end` sees to that."""

    text: str
    fields: Mapping[str, Any]
    end: weakref.ref[Running] | None


class Lines(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, name: str, descriptor: int, events: logging.Handler, buffer: io.BufferedIOBase) -> None:
        self.name = name
        self.buffer = buffer  #: for bytes, which go to the descriptor
        self._descriptor = descriptor
        self._events = events
        self._begun: dict[int, _Begun] = {}  # by the run's identity, or the thread's outside a task

    def write(self, text: str, /) -> int:
        """Take text; each line of it that is complete is told."""
        current = running.get()
        key = threading.get_ident() if current is None else id(current)
        begun = self._begun.pop(key, None)
        fields = logs.whose(current) if begun is None else begun.fields
        *lines, rest = (text if begun is None else begun.text + text).split("\n")
        for line in lines:
            self._tell(line, fields)
        if len(rest) > LONGEST:
            self._tell(rest, fields)
        elif rest:
            end = None if current is None else weakref.ref(current, lambda _: self._end(key))
            self._begun[key] = _Begun(_overwritten(rest), fields, end)
        return len(text)

    def flush(self) -> None:
        """Send on what was written as bytes. A line that is not complete waits for its end, but outside a task."""
        self.buffer.flush()
        if running.get() is None:
            self._end(threading.get_ident())

    def reconfigure(self, **_: Any) -> None:
        """Nothing: each line goes out when it is complete, whatever the buffering."""

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def _end(self, key: int) -> None:
        begun = self._begun.pop(key, None)
        if begun is not None:
            self._tell(begun.text, begun.fields)

    def _tell(self, line: str, fields: Mapping[str, Any]) -> None:
        line = _overwritten(line).rstrip("\r")
        if line:
            self._events.handle(logs.printed(line, {"stream": self.name, **fields}))


def _overwritten(line: str) -> str:
    """What a terminal would show of a line that is written over again and again, as progress bars are."""
    shown = line.rstrip("\r")
    return shown.rpartition("\r")[2] + line[len(shown) :]


_unread: list[int] = []  #: in a child: the other ends of its descriptors, to look at only


def capture(taps: Sequence[Tap]) -> None:
    """In a new child: from now on what is printed becomes events, and descriptors 1 and 2 lead to `taps`.

    What logs to the streams of before, as the application configured it, goes on to do so.
    """
    events = logs.handler()
    assert events is not None
    logs.guess(taps[0].whose)
    _unread[:] = [tap.fileno() for tap in taps]  # kept open: should the supervisor die, nobody dies of writing
    for name, descriptor, tap in zip(_NAMES, (1, 2), taps, strict=True):
        old: TextIO = getattr(sys, name)
        old.flush()
        real = os.fdopen(os.dup(descriptor), "w", encoding=old.encoding, errors="backslashreplace")
        for handler in (events, *logs.applications()):
            if isinstance(handler, logging.StreamHandler) and handler.stream is old:
                handler.setStream(real)
        os.dup2(tap.write, descriptor)
        os.close(tap.write)
        if isinstance(old, io.TextIOWrapper):
            old.reconfigure(line_buffering=True)  # whoever kept it writes through it to the pipe
        setattr(
            sys, name, Lines(name, descriptor, events, io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False)))
        )
    faulthandler.enable(file=sys.stderr)


def unread() -> list[int]:
    """In a child: in which descriptors something stands that the supervisor has not read yet. 0: stdout, 1: stderr."""
    return [index for index, end in enumerate(_unread) if fcntl.ioctl(end, termios.FIONREAD, _NOTHING) != _NOTHING]


class Tap:
    """One descriptor of a child, as the supervisor reads it."""

    def __init__(self, name: str, seat: Seat, tasks: Sequence[str]) -> None:
        self.name = name
        self.seat: Seat | None = seat  #: None once the child is gone; what it started may write on
        self.tasks = tasks
        self.pid = 0
        self.ended = False
        self._read, self.write = os.pipe()
        self._rest = b""
        self._blurred = 0.0  #: as the seat said when nothing was unread here
        os.set_blocking(self._read, False)

    def fileno(self) -> int:
        return self._read

    def drain(self) -> bool:
        """Tell some of what is there; False if nothing is."""
        fields = {"stream": self.name, "pid": self.pid}
        (joined, blurred), whose = self._doubts(), self.whose()  # before: a task ends when its lines are read
        try:
            data = os.read(self._read, _CHUNK)
        except BlockingIOError:
            return False
        if self._doubts() == (joined, self._blurred):  # no other run can have written it
            fields |= whose
        if len(data) < _CHUNK:
            self._blurred = blurred
        self.ended = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self.ended or len(self._rest) > LONGEST:
            lines.append(self._rest)
            self._rest = b""
        self._tell([_overwritten(line.decode("utf-8", "backslashreplace")).rstrip("\r") for line in lines], fields)
        return bool(data)

    def close(self) -> None:
        os.close(self._read)

    def _tell(self, lines: Iterable[str], fields: Mapping[str, Any]) -> None:
        events = logs.handler()
        for line in lines:
            if line and events is not None:
                events.handle(logs.printed(line, fields))

    def _doubts(self) -> tuple[float, float]:
        return (0.0, 0.0) if self.seat is None else self.seat.doubts(_NAMES.index(self.name))

    def whose(self) -> dict[str, Any]:
        """The fields of the one task that runs in the child; {} if it is not exactly one."""
        runs = [] if self.seat is None else self.seat.running()
        if len(runs) != 1:
            return {}
        return {"task_id": runs[0].task_id, "task": self.tasks[runs[0].task], "attempt": runs[0].attempt}


class Taps:
    """The supervisor's taps, in its selector."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._taps: list[Tap] = []

    def prepare(self, seat: Seat, tasks: Sequence[str]) -> list[Tap]:
        """Two taps for a child that is about to be forked; none where nothing is set up to log."""
        return [Tap(name, seat, tasks) for name in _NAMES] if logs.handler() is not None else []

    def begin(self, taps: Sequence[Tap], pid: int) -> None:
        """The child is there: read what it writes."""
        for tap in taps:
            os.close(tap.write)
            tap.pid = pid
            self._selector.register(tap, selectors.EVENT_READ)
            self._taps.append(tap)

    def read(self, tap: Tap) -> None:
        """There is something to read."""
        tap.drain()
        if tap.ended:
            self._selector.unregister(tap)
            self._taps.remove(tap)
            tap.close()

    def bereave(self, pid: int) -> None:
        """The child is gone: tell its last words. What it started may go on to write."""
        for tap in self._taps:
            if tap.pid == pid:
                while tap.drain():
                    pass
                tap.seat = None

    def shed(self) -> None:
        """In a new process: these are the supervisor's own."""
        for tap in self._taps:
            tap.close()
