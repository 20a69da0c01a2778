"""The HTTP/1.1 protocol of the server: uvicorn's on httptools, which tells its errors as the API does."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from penstock.api import problems
from penstock.api.answer import refused
from penstock.api.problems import Problem


class Protocol(HttpToolsProtocol):
    """One connection."""

    def send_400_response(self, msg: str) -> None:
        answer = refused(Problem(problems.BAD_REQUEST, msg))
        headers = [*self.server_state.default_headers, *answer.headers, (b"connection", b"close")]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[400] + lines + b"\r\n" + answer.body)
        self.transport.close()
