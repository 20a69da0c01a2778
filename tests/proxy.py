"""A TCP proxy between a client and a server that tests can cut, slow down and silence.

    with Proxy(server.fresh()) as proxy:
        app = Penstock(broker_url=proxy.url)
        proxy.half_open()
        ...
        proxy.heal()

It runs on a thread of its own; every method returns when what it says is so.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.processes import free_port


class Proxy:
    """One listening port that leads to the server of an URL."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        assert parts.hostname, target
        assert parts.port, target
        self._target = (parts.hostname, parts.port)
        self.port = free_port()
        login = parts.netloc.rpartition("@")
        #: the URL of the target, by way of the proxy
        self.url = parts._replace(netloc=f"{login[0]}{login[1]}127.0.0.1:{self.port}").geturl()
        #: connections accepted so far
        self.accepted = 0
        #: bytes that clients have sent and got so far
        self.sent = self.got = 0
        #: how often a client has sent something after the server's last word on that connection
        self.turns = 0
        self._delay = 0.0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._flows = asyncio.Event()
        self._flows.set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    # ------------------------------------------------------------------------------------------------------- trouble

    def cut(self) -> None:
        """Reset every connection; new ones are welcome."""
        self._call(self._abort())

    def refuse(self) -> None:
        """Reset every connection and refuse new ones."""
        self._call(self._close())

    def delay(self, seconds: float) -> None:
        """Hold back whatever is sent, in either direction, for so long."""
        self._delay = seconds

    def half_open(self) -> None:
        """A black hole: connections stay open and are accepted, and nothing comes through any more."""
        self._call(self._set(flows=False))

    def heal(self) -> None:
        """As it was: what was held back arrives, as after a partition of the network."""
        self._delay = 0.0
        self._call(self._set(flows=True))

    # ------------------------------------------------------------------------------------------------- life and end

    def __enter__(self) -> Self:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many clients are connected now."""
        return len(self._open) // 2

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    # ---------------------------------------------------------------------------------------- on the proxy's thread

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._abort()

    async def _abort(self) -> None:
        tasks = set(self._tasks)
        while tasks:  # some may still be on their way to the server, and open only now
            for writer in list(self._open):
                _reset(writer)
            _, tasks = await asyncio.wait(tasks, timeout=0.02)

    async def _set(self, *, flows: bool) -> None:
        if not flows:
            self._flows.clear()
            return
        self._flows.set()
        await self._listen()

    async def _finish(self) -> None:
        self._flows.set()
        self._delay = 0.0
        await self._close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:  # the server is down: the client is told so in the only way there is
            _reset(writer)
            return
        self._open |= {writer, far_writer}
        talk = _Talk()
        pumps = [
            asyncio.ensure_future(self._pump(reader, far_writer, talk, asks=True)),
            asyncio.ensure_future(self._pump(far_reader, writer, talk, asks=False)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for each in (writer, far_writer):
            self._open.discard(each)
            each.close()
            with contextlib.suppress(OSError):
                await each.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, talk: _Talk, *, asks: bool
    ) -> None:
        """Carry bytes one way until that way ends."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self._count(len(data), talk, asks=asks)
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()

    def _count(self, size: int, talk: _Talk, *, asks: bool) -> None:
        if not asks:
            self.got += size
        else:
            self.sent += size
            self.turns += not talk.asked
        talk.asked = asks


class _Talk:
    """What passes on one connection."""

    asked = False  #: the client spoke last


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN, as a server does that has forgotten the connection."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
