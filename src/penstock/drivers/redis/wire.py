"""One connection: commands go out as they come, answers come back in their order. Knows no command.

A thin protocol of our own on hiredis: with one script call a batch a client library's work per command, and its turn
per round trip, would cost more than the batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis

from penstock.core.errors import Unavailable

#: what hiredis packs
Argument = str | int | float | bytes | memoryview
Command = Sequence[Argument]
PARTIAL = object()  #: stands for an answer that is not complete yet
# its own annotation speaks of a tuple of one
_pack: Callable[[tuple[Argument, ...]], bytes] = hiredis.pack_command  # type: ignore[assignment]


def packed(command: Command) -> bytes:
    """A command as it is sent. Raises TypeError for what cannot be."""
    return _pack(tuple(command))


class Wire(asyncio.Protocol):
    """A connection, made by `asyncio`. Broken once, broken for ever."""

    def __init__(self, shown: str, timeout: float, push: Callable[[Any], None] | None = None) -> None:
        self._shown = shown
        self._timeout = timeout  #: seconds without a byte after which the connection counts as broken; 0: never
        self._push = push  #: takes every reply that nobody waits for
        self._reader = hiredis.Reader(notEnoughData=PARTIAL)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []  # written together: a system call costs more than packing a command
        self._watchdog: asyncio.TimerHandle | None = None
        self.answers = 0
        self._received = 0  # bytes
        self.closed = asyncio.get_running_loop().create_future()

    @property
    def broken(self) -> bool:
        return self.closed.done()

    def call(self, command: Command) -> asyncio.Future[Any]:
        """Send a command. The future gets its answer; an error reply is a value, hiredis.ReplyError."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if self._transport is None or self.broken:
            future.set_exception(Unavailable(f"{self._shown}: the connection is closed", unsent=True))
            return future
        data = packed(command)  # raises for what cannot be sent; nobody may wait for its answer then
        self._waiting.append(future)
        self._write(loop, data)
        if self._watchdog is None and self._timeout:
            self._watch(loop)
        return future

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go; their answers in order."""
        futures = [self.call(command) for command in commands]
        if len(futures) == 1:
            return [await futures[0]]
        return list(await asyncio.gather(*futures))

    def send(self, command: Command) -> None:
        """Send a command whose answers go to `push`."""
        if self._transport is not None and not self.broken:
            self._write(asyncio.get_running_loop(), packed(command))

    def close(self) -> None:
        """Hang up; who waits for an answer is told so."""
        if self._transport is not None:
            self._flush()
            self._transport.abort()
        self._lose("the connection was closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no such class

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not PARTIAL:
                self.answers += 1
                if self._waiting:
                    self._answer(reply)
                elif self._push is not None:
                    self._push(reply)
        except hiredis.ProtocolError as error:
            self._lose(f"not a Redis server, or out of step: {error}")
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        self._lose(str(error) if error else "the server hung up")

    def _write(self, loop: asyncio.AbstractEventLoop, data: bytes) -> None:
        """Send at once where the server has nothing to do for us; else when all who can go on now have had their turn.

        They have commands, too, and a worker packs the next one for as long as the server needs for the first.
        """
        if len(self._waiting) == 1 and not self._out and self._transport is not None:
            self._transport.write(data)
            return
        if not self._out:
            loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _answer(self, reply: Any) -> None:
        future = self._waiting.popleft()
        if not future.done():  # its caller may have gone
            future.set_result(reply)

    def _lose(self, why: str) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None
        self._out.clear()
        if not self.closed.done():
            self.closed.set_result(why)
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(Unavailable(f"{self._shown}: {why}"))

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watchdog = loop.call_later(self._timeout, self._look, self._moved())

    def _look(self, moved: tuple[int, int]) -> None:
        self._watchdog = None
        if not self._waiting:
            return
        if self._moved() == moved:
            self._lose(f"no answer within {self._timeout:g} s")
            self.close()
        else:
            self._watch(asyncio.get_running_loop())

    def _moved(self) -> tuple[int, int]:
        """Differs once bytes have come or gone: a large message takes its time on a slow line."""
        return self._received, self._transport.get_write_buffer_size() if self._transport is not None else 0
