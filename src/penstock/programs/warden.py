"""The warden: a small process that starts programs, each in a group of its own, and leaves none of them behind.

It is started by its path, as a program of its own that imports the standard library only: it has one thread and few
pages, so that it can fork cheaply and set limits in the new process with plain code, which a process with threads
cannot do safely. When whoever talks to it dies, by SIGKILL too, its socket ends: then it kills every group and ends.
When it dies itself, the kernel kills the programs it started (where there is PR_SET_PDEATHSIG), and its owner, who
sees the socket end, their groups.

Frames on the socket: four bytes with the length, then a tuple by `marshal`. In, with the program's three descriptors
beside the length: ("run", number, argv, environment, folder, limits); without: ("kill", number, signal). Out:
("started", number, pid), ("failed", number, errno, what), ("ended", number, status, CPU seconds, bytes of memory).
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import marshal
import os
import resource
import selectors
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

LENGTH = struct.Struct("=I")
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_FAILURE = struct.Struct("=iii20s")  # pid, errno, where: less than PIPE_BUF, so that it is written whole
_CANNOT = 127  # the exit code of a process that could not become the program
_RESET = (signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)
_PAGE = 1024  # bytes: what ru_maxrss counts in, where it does not count in bytes


def _libc() -> Any:
    """The C library where it has prctl; None elsewhere."""
    return ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Warden:
    """Serves one owner."""

    def __init__(self, owner: socket.socket) -> None:
        self.owner = owner
        self.numbers: dict[int, int] = {}  #: process → number of its run
        self.pids: dict[int, int] = {}  #: number → process, while its leader lives
        self._libc = _libc()
        self._failures, self._failed = os.pipe()
        self._told: dict[int, tuple[int, str]] = {}  # process → errno and place of a start that failed
        os.set_blocking(self._failures, False)

    def serve(self) -> None:
        """Start, watch, kill, until the owner is gone; then kill what is left."""
        wake, alarm = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(alarm, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
        if self._libc is not None:  # orphans of its programs come to it, so that no zombie stays in a container
            self._libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        selector = selectors.DefaultSelector()
        selector.register(self.owner, selectors.EVENT_READ)
        selector.register(wake, selectors.EVENT_READ)
        with contextlib.suppress(EOFError, ConnectionError):  # the owner is gone
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if wake in ready:
                    os.read(wake, 4096)
                    self._reap()
                if self.owner.fileno() in ready:
                    self._order()
        self._clear()

    def _order(self) -> None:
        """Do what the owner says. Raises EOFError when it is gone."""
        head, descriptors = _received(self.owner)
        order = marshal.loads(_exactly(self.owner, LENGTH.unpack(head)[0]))  # noqa: S302 - our own process wrote it
        try:
            if order[0] == "run":
                self._start(order[1], order[2:], descriptors)
            elif (pid := self.pids.get(order[1])) is not None:
                _kill(pid, order[2])
        finally:
            for each in descriptors:
                os.close(each)

    def _start(self, number: int, what: Any, descriptors: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._tell("failed", number, error.errno, "fork")
            return
        if not pid:
            self._become(what, descriptors)
        self.numbers[pid], self.pids[number] = number, pid
        self._tell("started", number, pid)

    def _become(self, what: Any, descriptors: list[int]) -> NoReturn:
        """In the new process: become the program."""
        argv, environment, folder, limits = what
        where = ""
        try:
            where = "group"
            os.setsid()
            if self._libc is not None:
                self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            where = "limits"
            _limit(*limits)
            where = "folder"
            if folder:
                os.chdir(folder)
            where = "program"
            signal.set_wakeup_fd(-1)
            for each in _RESET:
                signal.signal(each, signal.SIG_DFL)
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
            os.execve(argv[0], argv[1:], environment)  # noqa: S606 - no shell is the point
        except OSError as error:
            code = error.errno or errno.EINVAL
        # Nothing may be raised beyond this line: this process is a copy of the warden.
        except BaseException:
            code = errno.EINVAL
        os.write(self._failed, _FAILURE.pack(os.getpid(), code, 0, where.encode()))
        os._exit(_CANNOT)

    def _reap(self) -> None:
        """See who has ended. What is left of a group is killed while its dead leader still keeps the number taken."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            pid = ended.si_pid
            if pid in self.numbers:
                _kill(pid, signal.SIGKILL)
            _, status, usage = os.wait4(pid, 0)
            if (number := self.numbers.pop(pid, None)) is not None:
                del self.pids[number]
                self._ended(number, pid, status, usage)

    def _ended(self, number: int, pid: int, status: int, usage: resource.struct_rusage) -> None:
        code = os.waitstatus_to_exitcode(status)
        if code == _CANNOT and (failure := self._failure(pid)) is not None:
            self._tell("failed", number, *failure)
            return
        memory = usage.ru_maxrss * (_PAGE if sys.platform == "linux" else 1)
        self._tell("ended", number, code, usage.ru_utime + usage.ru_stime, memory)

    def _failure(self, pid: int) -> tuple[int, str] | None:
        """Why this process did not become its program; None if it did, and ended with that code itself."""
        while True:
            try:
                told = os.read(self._failures, _FAILURE.size)
            except BlockingIOError:
                return self._told.pop(pid, None)
            who, code, _, where = _FAILURE.unpack(told)
            self._told[who] = (code, where.rstrip(b"\0").decode())

    def _tell(self, *what: Any) -> None:
        frame = marshal.dumps(what)
        self.owner.sendall(LENGTH.pack(len(frame)) + frame)

    def _clear(self) -> None:
        for pid in self.numbers:
            _kill(pid, signal.SIGKILL)


def _limit(memory: int, cpu: int, nice: int) -> None:
    """Address space in bytes and CPU in seconds, 0 for no limit; `nice` is added to what it is."""
    for kind, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu)):
        if limit:
            resource.setrlimit(kind, (limit, limit))
    if nice:
        os.nice(nice)


def _kill(group: int, number: int) -> None:
    """Signal a group whose leader is not reaped yet; one that is only just being made consists of its leader."""
    with contextlib.suppress(PermissionError):  # it became another user's
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            os.kill(group, number)


def _received(owner: socket.socket) -> tuple[bytes, list[int]]:
    """The length of the next frame, and the descriptors that came with it."""
    descriptors = array.array("i")
    data, beside, _, _ = owner.recvmsg(LENGTH.size, socket.CMSG_LEN(3 * descriptors.itemsize))
    for level, kind, content in beside:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    for each in descriptors:
        os.set_inheritable(each, False)
    if not data:
        raise EOFError
    return data + _exactly(owner, LENGTH.size - len(data)), list(descriptors)


def _exactly(owner: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = owner.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def main() -> None:
    """Serve the socket whose descriptor is the one argument."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # its owner's end is its end
    owner = int(sys.argv[1])
    os.set_inheritable(owner, False)  # a program that had it would hide the warden's death
    Warden(socket.socket(fileno=owner)).serve()


if __name__ == "__main__":
    main()
