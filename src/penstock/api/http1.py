"""The HTTP/1.1 protocol of the server: uvicorn's on httptools, which tells its errors as the API does.

httptools itself takes headers of any length and number: here they are counted.
"""

from __future__ import annotations

from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from penstock.api import problems
from penstock.api.answer import refused
from penstock.api.problems import Problem

MOST: Final = 64 * 1024  #: bytes of a request's address and headers together


class Protocol(HttpToolsProtocol):
    """One connection."""

    _size = 0  # bytes of the address and the complete headers, trailers too, of the present request
    _unread = 0  # bytes received since the parser last told of a request's begin, body or end: it may hold them all

    def data_received(self, data: bytes) -> None:
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MOST and not self.transport.is_closing():
            self._size = self._unread
            self.send_400_response("")

    def send_400_response(self, msg: str) -> None:
        if self._size > MOST:  # the parser's error is the one that `_count` has raised
            problem = Problem(
                problems.HEADERS_TOO_LARGE, f"address and headers are larger than {MOST} bytes", limit=MOST
            )
        else:
            problem = Problem(problems.BAD_REQUEST, msg)
        answer = refused(problem)
        headers = [*self.server_state.default_headers, *answer.headers, (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[answer.status] + lines + b"\r\n" + answer.body)
        self.transport.close()

    def on_message_begin(self) -> None:
        self._size = self._unread = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)  # ": " and the line's end
        super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unread = 0
        super().on_message_complete()

    def _count(self, more: int) -> None:
        self._size += more
        if self._size > MOST:
            raise ValueError("too large")  # becomes the parser's error, and so `send_400_response`
