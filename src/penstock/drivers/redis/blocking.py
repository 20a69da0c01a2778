"""Link and ears for callers that may block: plain sockets, read on the caller's own thread. No await here suspends.

Whoever asks has a connection to himself meanwhile; there are as many as there have been threads asking at a time. One
that was interrupted in the middle is hung up: nobody could tell whose answer comes next.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final

import hiredis

from penstock.core.consumer import Listener
from penstock.core.errors import PenstockError, Unavailable
from penstock.drivers.redis.address import Address
from penstock.drivers.redis.errors import translated
from penstock.drivers.redis.link import BEAT, PAUSE, greet, reaching
from penstock.drivers.redis.wire import PARTIAL, Command, packed

_PORTION: Final = 65536  #: bytes that are read at once
#: what a read raises when nothing has come in time, TLS in its own way
_SILENT: Final = (BlockingIOError, ssl.SSLWantReadError)


class Line:
    """One connection. Broken once, broken for ever."""

    def __init__(self, dialled: socket.socket, shown: str, timeout: float) -> None:
        self._socket = dialled
        self._shown = shown
        self._reader = hiredis.Reader(notEnoughData=PARTIAL)
        self._poll = select.poll()
        self._poll.register(dialled, select.POLLIN)
        self.limit(timeout)

    def limit(self, timeout: float) -> None:
        """After how many seconds without a byte the connection counts as broken."""
        self._timeout = timeout
        self._socket.settimeout(None)
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # the kernel's own: no call more than read and write
            self._socket.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", *divmod(int(timeout * 1e6), 10**6)))

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go; their answers in order. Raises Unavailable."""
        self.send(*commands)
        return [self._answer() for _ in commands]

    def send(self, *commands: Command) -> None:
        """Send commands in one go. Raises Unavailable."""
        left = memoryview(b"".join(map(packed, commands)))
        try:
            while left:  # a large message takes its time on a slow line
                left = left[self._socket.send(left) :]
        except OSError as error:
            raise self._broken(error) from error

    def heard(self, seconds: float) -> Any:
        """The next message; PARTIAL if nothing has come for `seconds`. Raises Unavailable."""
        while (reply := self._gets()) is PARTIAL:
            if not self._poll.poll(seconds * 1000):
                return PARTIAL
            self._receive()
        return reply

    def quiet(self) -> bool:
        """Whether it is still there, and nobody's answer is on its way: neither bytes nor its end can be read."""
        return not self._poll.poll(0)

    def shut(self) -> None:
        """Break it, and wake the thread that reads here. Callable from any thread."""
        with contextlib.suppress(OSError):  # it is broken already
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()

    def _answer(self) -> Any:
        while (reply := self._gets()) is PARTIAL:
            self._receive()
        return reply

    def _gets(self) -> Any:
        try:
            return self._reader.gets()
        except hiredis.ProtocolError as error:
            raise Unavailable(f"{self._shown}: not a Redis server, or out of step: {error}") from error

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_PORTION)
        except _SILENT as error:
            raise Unavailable(f"{self._shown}: no answer within {self._timeout:g} s") from error
        except OSError as error:
            raise self._broken(error) from error
        if not data:
            raise Unavailable(f"{self._shown}: the server hung up")
        self._reader.feed(data)

    def _broken(self, error: OSError) -> Unavailable:
        return Unavailable(f"{self._shown}: {str(error) or type(error).__name__}")


def dialled(address: Address) -> socket.socket:
    """A new connection, TLS included. Raises OSError."""
    if address.path:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(address.connect_timeout)
        try:
            made.connect(address.path)
        except BaseException:  # whatever stopped it, nobody else will close it
            made.close()
            raise
        return made
    made = socket.create_connection((address.host, address.port), address.connect_timeout)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made if address.tls is None else address.tls.wrap_socket(made, server_hostname=address.host)
    except BaseException:  # as above
        made.close()
        raise


class Pool:
    """Connections that are there when they are asked for. Used from any thread."""

    def __init__(self, address: Address) -> None:
        self.closed = False
        self._address = address
        self._idle: list[Line] = []

    async def take(self, good: Callable[[Line], bool]) -> Line:
        """An idle connection that is `good`, or a new one. Raises what `connect` raises."""
        while self._idle:
            try:
                line = self._idle.pop()
            except IndexError:  # another thread has the last one
                break
            if good(line):
                return line
            line.close()
        if self.closed:
            raise Unavailable(f"{self._address.shown} was closed by this program", unsent=True)
        return await self._connected()

    def give(self, line: Line) -> None:
        """Have it at hand for the next one."""
        self._idle.append(line)
        if self.closed:  # meanwhile
            self.close()

    def close(self) -> None:
        self.closed = True
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:  # another thread has the last one
                break

    async def _connected(self) -> Line:
        address = self._address
        with reaching(address):
            line = Line(dialled(address), address.shown, address.connect_timeout)
            try:
                await greet(line, address)
            except BaseException:  # whatever stopped it, nobody else will hang up
                line.close()
                raise
        line.limit(address.timeout)
        return line


class BlockingLink:
    """What Link is for an event loop."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._pool = Pool(address)

    @property
    def closed(self) -> bool:
        return self._pool.closed

    @closed.setter
    def closed(self, closed: bool) -> None:
        self._pool.closed = closed

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go; their answers. Raises Unavailable, and the first error reply translated."""
        replies = await self._exchange(commands)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise translated(reply, self.address.shown)
        return replies

    async def call(self, command: Command) -> Any:
        """Send a command; its answer, which may be a hiredis.ReplyError."""
        return (await self._exchange((command,)))[0]

    async def breathe(self) -> None:
        """Nothing: threads take turns by themselves."""

    def close(self) -> None:
        self._pool.close()

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        line = await self._pool.take(Line.quiet)
        try:
            replies = await line.ask(commands)
        except BaseException:  # whatever it is, an answer may be left in it
            line.close()
            raise
        self._pool.give(line)
        return replies


class BlockingBell(Listener):
    """Wakes one sleeper when something is published on one of its channels, or may have been missed."""

    def __init__(self, pool: Pool, channels: Sequence[str]) -> None:
        self._pool = pool
        self._channels = {channel.encode() for channel in channels}
        self._line: Line | None = None
        self._rung = False

    async def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something may have changed (True) or `timeout` seconds have passed (False)."""
        end = None if timeout is None else time.monotonic() + timeout
        try:
            while not self._rung:
                left = BEAT if end is None else end - time.monotonic()
                if left <= 0:
                    return False
                await self._hear(min(left, BEAT))
        except BaseException:  # interrupted, maybe in the middle of a message
            self._drop()
            raise
        self._rung = False
        return True

    def poke(self) -> None:
        """Wake the one who waits here. Callable from any thread."""
        self._rung = True
        if (line := self._line) is not None:
            line.shut()

    async def close(self) -> None:
        """Stop listening. Closing twice is fine."""
        line, self._line = self._line, None
        if line is None:
            return
        try:
            line.send(("UNSUBSCRIBE",))
        except Unavailable:
            line.close()
        else:
            self._pool.give(line)

    async def _hear(self, seconds: float) -> None:
        """Wait for a message for some seconds, on a connection that listens."""
        try:
            line = self._line or await self._connected()
            reply = line.heard(seconds)
            if reply is PARTIAL and seconds == BEAT:  # is it still there?
                line.send(("PING",))
                if line.heard(BEAT) is PARTIAL:
                    self._drop()
            elif isinstance(reply, list) and bytes(reply[0]) in (b"message", b"subscribe"):
                self._rung = self._rung or reply[1] in self._channels
        except PenstockError:
            lost = self._line is not None
            self._drop()
            if not lost and not self._rung:
                time.sleep(min(PAUSE, seconds))  # noqa: ASYNC251 - there is no loop

    async def _connected(self) -> Line:
        line = self._line = await self._pool.take(_drained)
        line.send(("SUBSCRIBE", *self._channels))  # once it is confirmed the bell rings: something may have been missed
        return line

    def _drop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.close()


def _drained(line: Line) -> bool:
    """Whether it is still there; what it said to the one before is passed over."""
    try:
        while line.heard(0.0) is not PARTIAL:
            pass
    except Unavailable:
        return False
    return True


class BlockingEars:
    """What Ears is for an event loop: each bell has a connection of its own while somebody waits for it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._pool = Pool(address)
        self._bells: weakref.WeakSet[BlockingBell] = weakref.WeakSet()

    def listen(self, channels: Sequence[str]) -> BlockingBell:
        """A bell that rings when something is published on one of `channels`; none is missed from its first wait on."""
        bell = BlockingBell(self._pool, channels)
        self._bells.add(bell)
        return bell

    async def close(self) -> None:
        """Hang up and wake everybody."""
        self._pool.close()
        for bell in list(self._bells):
            bell.poke()
        self._pool = Pool(self._address)
