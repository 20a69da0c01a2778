"""One connection to a RabbitMQ server: the handshake, frames in and out, channels. One event loop, no threads."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, cast

from penstock.drivers.amqp import frames, methods
from penstock.drivers.amqp.address import Address, Host
from penstock.drivers.amqp.channel import Broken, Channel

#: a code of ours: the server's certificate cannot be trusted
UNTRUSTED: Final = -1
_TUNE = Struct("!HIH")
_IDS = Struct("!HH")
_CODE = Struct("!H")
_CAPABILITIES: Final = {
    "publisher_confirms": True,
    "consumer_cancel_notify": True,
    "basic.nack": True,
    "connection.blocked": True,
    "authentication_failure_close": True,
}
_FRAME_MAX: Final = 131_072
_FAREWELL: Final = 1.0  #: seconds
#: seconds (the last one: milliseconds); not every system has all of them
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 50_000}


class Connection(asyncio.Protocol):
    """Made by `connect`. Usable from the loop that it was made on."""

    def __init__(self, address: Address, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.loop = loop
        self.broken: Broken | None = None
        self.blocked = ""  #: why the server takes no messages now (memory, disk); "": it does
        self.frame_max = _FRAME_MAX
        self.server: dict[str, Any] = {}  #: the server's properties: product, version …
        self.channels: dict[int, Channel] = {}
        self.closed: Callable[[], None] = lambda: None
        self.opened: asyncio.Future[None] = loop.create_future()
        self._over: asyncio.Future[None] = loop.create_future()  # the transport has let go of its socket
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._out: list[bytes] = []
        self._heartbeat = 0
        self._beats: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._numbers = 0
        self._most = 2000  # channels; numbers go round, so that none is used again soon

    # ------------------------------------------------------------------------------------------------------------ use

    async def channel(self) -> Channel:
        """Open another channel. Raises Broken."""
        if self.broken is not None:
            raise Broken(self.broken.text, self.broken.code)
        self._numbers = self._numbers % self._most + 1
        while self._numbers in self.channels:
            self._numbers = self._numbers % self._most + 1
        channel = self.channels[self._numbers] = Channel(self, self._numbers)
        await channel.call(methods.CHANNEL_OPEN, b"\x00")
        return channel

    def write(self, data: bytes) -> None:
        """Send with all else that is written in this turn of the loop."""
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(data)

    async def close(self) -> None:
        """Say goodbye, as far as somebody listens. Closing twice is fine."""
        if self.broken is None and self._transport is not None:
            self.write(frames.method(0, methods.CLOSE, b"\x00\xc8\x00\x00\x00\x00\x00"))
            self._flush()
            self._transport.close()
        self.fail(Broken("closed"))
        if self._transport is not None:
            await asyncio.wait((self._over,), timeout=_FAREWELL)  # with TLS, the other side has to agree
            self._transport.abort()

    def fail(self, error: Broken) -> None:
        """The connection is gone: everybody on it hears of it."""
        if self.broken is not None:
            return
        self.broken = error
        if self._beats is not None:
            self._beats.cancel()
        if not self.opened.done():
            self.opened.set_exception(error)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
        for channel in list(self.channels.values()):
            channel.fail(error)
        self.closed()

    # ----------------------------------------------------------------------------------------------- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only
        found = transport.get_extra_info("socket")
        if found is not None:
            _keep_alive(found)
        self._transport.write(b"AMQP\x00\x00\x09\x01")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._over.done():
            self._over.set_result(None)
        if not self.opened.done() and exc is None:
            self.fail(Broken("the server closed the connection during the handshake"))
        self.fail(Broken(f"the connection was lost: {exc or 'closed by the server'}"))

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        buffer = self._buffer + data if self._buffer else data
        at, size = 0, len(buffer)
        unpack, channels = frames.HEAD.unpack_from, self.channels
        try:
            while size - at >= 8:
                kind, number, length = unpack(buffer, at)
                end = at + 7 + length
                if end >= size:
                    break
                payload = buffer[at + 7 : end]
                if buffer[end] != 0xCE:
                    raise frames.Malformed("a frame without its end")
                at = end + 1
                if number == 0:
                    self._own(kind, payload)
                elif (channel := channels.get(number)) is None:
                    continue  # it is closed here already
                elif kind == frames.METHOD:
                    channel.heard(_IDS.unpack_from(payload), payload)
                elif kind == frames.HEADER:
                    channel.header(payload)
                elif kind == frames.BODY:
                    channel.body(payload)
        except frames.Malformed as error:
            self.fail(Broken(f"not AMQP 0-9-1: {error}"))
            return
        self._buffer = buffer[at:]

    # --------------------------------------------------------------------------------------------------------- inside

    def _flush(self) -> None:
        if self._transport is not None and self._out:
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _own(self, kind: int, payload: bytes) -> None:
        """A frame of the connection itself."""
        if kind != frames.METHOD:
            return  # a heartbeat
        ids = _IDS.unpack_from(payload)
        if ids == methods.START:
            self._start(payload)
        elif ids == methods.TUNE:
            self._tune(*_TUNE.unpack_from(payload, 4))
        elif ids == methods.OPEN_OK:
            if not self.opened.done():
                self.opened.set_result(None)
        elif ids == methods.CLOSE:
            (code,) = _CODE.unpack_from(payload, 4)
            self.write(frames.method(0, methods.CLOSE_OK))
            self._flush()
            self.fail(Broken(frames.text(payload, 6)[0], code))
        elif ids == methods.BLOCKED:
            self.blocked = frames.text(payload, 4)[0] or "blocked"
        elif ids == methods.UNBLOCKED:
            self.blocked = ""

    def _start(self, payload: bytes) -> None:
        self.server, _ = frames.unpack_table(payload, 6)
        login = f"\x00{self.address.user}\x00{self.address.password}".encode()
        own = {"product": "Penstock", "connection_name": self.address.name, "capabilities": _CAPABILITIES}
        arguments = frames.pack_table(own) + frames.name("PLAIN") + frames.long_text(login) + frames.name("en_US")
        self.write(frames.method(0, methods.START_OK, arguments))

    def _tune(self, channels: int, frame_max: int, heartbeat: int) -> None:
        del heartbeat  # of the server: beats are sent if the URL says so
        self.frame_max = min(frame_max or _FRAME_MAX, _FRAME_MAX)
        self._most = min(channels or 2000, 2000)
        self._heartbeat = self.address.heartbeat
        self.write(frames.method(0, methods.TUNE_OK, _TUNE.pack(channels, self.frame_max, self._heartbeat)))
        self.write(frames.method(0, methods.OPEN, frames.name(self.address.vhost) + b"\x00\x00"))
        if self._heartbeat:
            self._heard_at = self.loop.time()
            self._beat()

    def _beat(self) -> None:
        """Twice in the agreed time a sign of life; and two such times without one from the server are too much."""
        if self.loop.time() - self._heard_at > 2 * self._heartbeat:
            self.fail(Broken(f"no sign of life from the server for {2 * self._heartbeat} s"))
            return
        self.write(b"\x08\x00\x00\x00\x00\x00\x00\xce")
        self._beats = self.loop.call_later(self._heartbeat / 2, self._beat)


async def connect(address: Address) -> Connection:
    """Connect to the first of the hosts that answers. Raises Broken with what each of them said."""
    loop = asyncio.get_running_loop()
    faults = []
    for host in address.hosts:
        try:
            return await _connect(address, host, loop)
        except Broken as error:
            faults.append(error if len(address.hosts) == 1 else Broken(f"{host}: {error.text}", error.code))
    raise faults[0] if len(faults) == 1 else Broken("; ".join(fault.text for fault in faults), faults[0].code)


async def _connect(address: Address, host: Host, loop: asyncio.AbstractEventLoop) -> Connection:
    connection = Connection(address, loop)
    try:
        async with asyncio.timeout(address.connect_timeout):
            await loop.create_connection(lambda: connection, host.name, host.port, ssl=address.tls)
            await connection.opened
    except TimeoutError as error:
        connection.fail(Broken("no answer"))
        raise Broken(f"{host}: no answer within {address.connect_timeout:g} s") from error
    except ssl.SSLCertVerificationError as error:
        raise Broken(f"{host}: TLS failed: {error.verify_message}", UNTRUSTED) from error
    except OSError as error:
        raise Broken(f"{host}: {error.strerror or error}") from error
    except BaseException:  # the handshake's own error, or a cancellation: either way nobody will use it
        connection.fail(Broken("given up"))
        raise
    return connection


def _keep_alive(connected: socket.socket) -> None:
    """Small writes go out at once, and a peer that has vanished is noticed by the kernel within a minute."""
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEP_ALIVE.items():
        if hasattr(socket, option):
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
