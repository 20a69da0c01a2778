"""The owner's end of a warden: orders out, news in, on one event loop.

A warden that dies is replaced at the next order; whoever waits for one of its programs is told that it is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import marshal
import os
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from penstock.core.errors import ProgramError
from penstock.programs import warden

_ENDS_WITHIN: Final = 5.0  # seconds: a warden whose socket is closed has only to kill


@dataclass(frozen=True, slots=True)
class Exit:
    """How a program ended. `code` is negative for a signal, as in subprocess."""

    code: int
    cpu_seconds: float = 0.0
    memory: int = 0  #: bytes at most


class Leader:
    """One started program: the leader of its group."""

    def __init__(self, owner: Link, number: int) -> None:
        self._owner = owner
        self.number = number
        self.pid = 0
        self.ended: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    def signal(self, number: int) -> None:
        """Signal every process of its group; none after its end."""
        if not self.ended.done():
            self._owner.send(("kill", self.number, int(number)))


class Link:
    """Starts programs through a warden of its own, which is started with the first of them."""

    def __init__(self) -> None:
        self._leaders: dict[int, Leader] = {}
        self._count = 0
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._received = bytearray()

    def start(
        self,
        argv: Sequence[bytes],
        environment: Mapping[bytes, bytes],
        folder: str,
        limits: tuple[int, int, int],
        descriptors: Sequence[int],
    ) -> Leader:
        """Start `argv[0]` with the arguments `argv[1:]`; its three descriptors may be closed after that."""
        self._count += 1
        leader = self._leaders[self._count] = Leader(self, self._count)
        self.send(("run", self._count, list(argv), dict(environment), folder, limits), descriptors)
        return leader

    def send(self, order: tuple[Any, ...], descriptors: Sequence[int] = ()) -> None:
        """Send an order. Blocks for as long as the warden takes to read it: microseconds."""
        frame = marshal.dumps(order)
        here = self._socket or self._open()
        try:
            sent = socket.send_fds(here, [warden.LENGTH.pack(len(frame))], descriptors)
            assert sent == warden.LENGTH.size
            here.sendall(frame)
        except (BrokenPipeError, ConnectionError):
            self._lost()

    def close(self) -> None:
        """End the warden, and every program with it. Closing twice is fine."""
        if self._process is not None:
            self._shut()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ENDS_WITHIN)
            self._process = None

    def _open(self) -> socket.socket:
        here, there = socket.socketpair()
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(warden.__file__)), str(there.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[there.fileno()],
                start_new_session=True,  # Ctrl-C is for its owner
            )
        self._socket = here
        asyncio.get_running_loop().add_reader(here.fileno(), self._read)
        return here

    def _read(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._lost()
            return
        self._received += data
        size = warden.LENGTH.size
        while len(self._received) >= size:
            end = size + warden.LENGTH.unpack(self._received[:size])[0]
            if len(self._received) < end:
                return
            news = marshal.loads(self._received[size:end])  # noqa: S302 - our own process wrote it
            del self._received[:end]
            self._told(news)

    def _told(self, news: tuple[Any, ...]) -> None:
        kind, number, *rest = news
        if kind == "started":
            self._leaders[number].pid = rest[0]
            return
        leader = self._leaders.pop(number)
        if leader.ended.cancelled():
            return
        if kind == "ended":
            leader.ended.set_result(Exit(*rest))
        else:
            code, where = rest
            leader.ended.set_exception(OSError(code, os.strerror(code), where))

    def _lost(self) -> None:
        """The warden died, and the kernel has killed the programs that it started: kill what they have started."""
        self._shut()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        leaders, self._leaders = self._leaders, {}
        for leader in leaders.values():
            if leader.pid:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(leader.pid, signal.SIGKILL)
            if not leader.ended.done():
                leader.ended.set_exception(ProgramError("the process that started the program died"))

    def _shut(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._received.clear()


_links: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Link, AsyncGenerator[None]]]
_links = weakref.WeakKeyDictionary()


async def link() -> Link:
    """The running event loop's own, closed with its asynchronous generators, as `asyncio.run` does at its end."""
    loop = asyncio.get_running_loop()
    found = _links.get(loop)
    if found is None:
        opened = Link()
        keeper = _closing(opened)
        found = _links[loop] = (opened, keeper)
        await anext(keeper)
    return found[0]


async def _closing(opened: Link) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        opened.close()
        _links.pop(asyncio.get_running_loop(), None)
