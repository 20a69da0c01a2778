"""The HTTP/1.1 protocol of the server: uvicorn's on httptools, which tells its errors as the API does.

httptools itself takes headers of any length and number: here they are counted. And a request that has begun must come
to its end: whoever sends half of one, or nothing at all, is told so and does not hold the connection.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from penstock.api import problems
from penstock.api.answer import refused
from penstock.api.problems import Problem

MOST: Final = 64 * 1024  #: bytes of a request's address and headers together
ENOUGH: Final = 64 * 1024  #: bytes of answers that are sent at once, so that whoever sends much is told to wait
PATIENCE: Final = 30.0  #: seconds for a request's headers; and without a byte of its body


class Gathering:
    """A transport that sends what was written in one turn of the event loop in one system call.

    Without it the head of an answer and its body would be two.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._size += len(data)
        if self._size > ENOUGH:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()
        self._size = 0


class Protocol(HttpToolsProtocol):
    """One connection."""

    _size = 0  # bytes of the address and the complete headers, trailers too, of the present request
    _unread = 0  # bytes received since the parser last told of a request's begin, body or end: it may hold them all

    _incomplete = ""  # "headers" or "body": what of a request is still to come
    _heard = 0.0  # when something was last received of it, or its first byte as long as it is headers
    _impatience: asyncio.TimerHandle | None = None  # runs only while a request is incomplete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.transport = Gathering(transport, self.loop)  # type: ignore[assignment]
        self.timeout_keep_alive_task = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._incomplete:
            if self._impatience is None:
                self._heard = self.loop.time()
                self._impatience = self.loop.call_later(PATIENCE, self._wait)
            elif self._incomplete == "body":
                self._heard = self.loop.time()
        if self._unread > MOST and not self.transport.is_closing():
            self._size = self._unread
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        if self._size > MOST:  # the parser's error is the one that `_count` has raised
            detail = f"address and headers are larger than {MOST} bytes"
            self._refuse(Problem(problems.HEADERS_TOO_LARGE, detail, limit=MOST))
        else:
            self._refuse(Problem(problems.BAD_REQUEST, msg))

    def _refuse(self, problem: Problem) -> None:
        """Answer what never became a request, and end the connection."""
        self._calm()
        answer = refused(problem)
        headers = [*self.server_state.default_headers, *answer.headers, (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[answer.status] + lines + b"\r\n" + answer.body)
        self.transport.close()

    def _wait(self) -> None:
        """End the request if nothing has come of it for too long."""
        left = self._heard + PATIENCE - self.loop.time()
        if self.flow.read_paused or (self._incomplete == "headers" and self._answering):
            left = PATIENCE  # it is we who do not read, or who are not done with the request before
        if left > 0:
            self._impatience = self.loop.call_later(left, self._wait)
        elif self._incomplete == "body" and self.cycle.response_started:
            self.transport.close()
        elif not self.transport.is_closing():
            self._refuse(Problem(problems.TIMED_OUT, f"the {self._incomplete} did not arrive within {PATIENCE:g} s"))

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _calm(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def on_message_begin(self) -> None:
        self._size = self._unread = 0
        self._incomplete = "headers"
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)  # ": " and the line's end
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._incomplete = "body"
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        self._incomplete = ""
        if self._impatience is not None:
            self._calm()
        super().on_message_complete()

    def _count(self, more: int) -> None:
        self._size += more
        if self._size > MOST:
            raise ValueError("too large")  # becomes the parser's error, and so `send_400_response`
