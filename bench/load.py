"""A load generator for HTTP/1.1 on keep-alive connections.

It costs a few microseconds a request, for it runs beside the servers that it measures.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import uvloop

PATIENCE = 30.0  #: seconds
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """A request as it stands on the wire."""
    head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def rate(port: int, requests: Iterator[bytes], status: int, connections: int, seconds: float) -> float:
    """Requests a second over so many connections for so long, after a tenth of that to warm up.

    Each connection sends its next request when it has its answer. Raises RuntimeError for an answer of another status.
    """
    return uvloop.run(_rate(port, requests, status, connections, seconds))


def answers(port: int, requests: Sequence[bytes]) -> list[bytes]:
    """The bodies of the answers to requests that are sent one after the other."""

    async def ask() -> list[bytes]:
        bodies: list[bytes] = []
        left = iter(requests)

        def answered(_head: bytes, body: bytes) -> bytes | None:
            bodies.append(body)
            return next(left, None)

        connection = _Connection(next(left), answered)
        await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", port)
        await asyncio.wait_for(connection.ended, PATIENCE)
        return bodies

    return uvloop.run(ask())


async def _rate(port: int, requests: Iterator[bytes], status: int, connections: int, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    wanted = b"HTTP/1.1 %d " % status
    count = 0

    def answered(head: bytes, _body: bytes) -> bytes:
        nonlocal count
        if not head.startswith(wanted):
            raise RuntimeError(f"expected {status}: {head.splitlines()[0].decode()}")
        count += 1
        return next(requests)

    each = [_Connection(next(requests), answered) for _ in range(connections)]
    for connection in each:
        await loop.create_connection(lambda connection=connection: connection, "127.0.0.1", port)  # type: ignore[misc]
    ended = [connection.ended for connection in each]
    await asyncio.wait(ended, timeout=seconds / 10, return_when=asyncio.FIRST_COMPLETED)
    before, start = count, time.perf_counter()
    await asyncio.wait(ended, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if count == before and not any(each.done() for each in ended):
        raise RuntimeError(f"no answer within {seconds} s")
    found = (count - before) / (time.perf_counter() - start)
    for connection in each:
        connection.close()
    await asyncio.gather(*ended)  # raises what one of them has met
    return found


class _Connection(asyncio.Protocol):
    """Sends a request; `answered` takes the answer's head and body and gives the next request, None for the end."""

    def __init__(self, first: bytes, answered: Callable[[bytes, bytes], bytes | None]) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._first = first
        self._answered = answered
        self._buffer = b""
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's is none by class
        self._transport.write(self._first)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, there, rest = self._buffer.partition(b"\r\n\r\n")
        if not there:
            return
        length = _LENGTH.search(head)
        if length is None:
            self._fail(RuntimeError(f"an answer without its length: {head!r}"))
        elif len(rest) >= int(length[1]):
            self._buffer = b""
            self._next(head, rest)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionError("the server has closed the connection"))

    def close(self) -> None:
        """It is enough."""
        if not self.ended.done():
            self.ended.set_result(None)
        self._transport.close()

    def _next(self, head: bytes, body: bytes) -> None:
        try:
            following = self._answered(head, body)
        except RuntimeError as error:
            self._fail(error)
            return
        if following is None:
            self.close()
        else:
            self._transport.write(following)

    def _fail(self, error: Exception) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)
