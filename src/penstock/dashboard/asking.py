"""Asking the API from inside the same process: a request to its application as if it had come over the network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

import msgspec

if TYPE_CHECKING:
    from penstock.api.application import Application
    from penstock.api.keys import Key

Pairs = Iterable[tuple[str, str]]

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

#: What the API's doors look at; the page's own request has come through them with the same.
PASSED_ON = (b"host", b"origin", b"sec-fetch-site")


def at(*names: str) -> str:
    """A path of these names, escaped."""
    return "".join(f"/{quote(name, safe='')}" for name in names)


class Refused(Exception):
    """The API answered with a problem (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail", ""))
        self.status = status
        self.problem = problem

    @property
    def title(self) -> str:
        return str(self.problem.get("title", "Refused"))

    @property
    def detail(self) -> str:
        return str(self.problem.get("detail", ""))

    @property
    def errors(self) -> list[tuple[str, str]]:
        """What is wrong with which field."""
        return [(str(each["field"]), str(each["message"])) for each in self.problem.get("errors", ())]


class Asking:
    """Asks on behalf of one request to the dashboard."""

    def __init__(self, application: Application, head: dict[bytes, bytes]) -> None:
        self.application = application
        self.headers = [(name, head[name]) for name in PASSED_ON if name in head]

    def scope(self, key: Key, method: str, path: str, query: Pairs = (), body: bytes = b"") -> dict[str, Any]:
        """The ASGI scope of a request. `path` has its names escaped."""
        headers = list(self.headers)
        if body:
            headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": urlencode(list(query)).encode(),
            "root_path": "",
            "headers": headers,
            "penstock.key": key,
        }

    async def __call__(self, key: Key, method: str, path: str, query: Pairs = (), content: Any = None) -> Any:
        """The decoded answer; None where there is no content. Raises Refused."""
        body = b"" if content is None else _encode(content)
        status, parts = 0, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await self.application(self.scope(key, method, path, query, body), receive, send)
        answer = b"".join(parts)
        found = _decode(answer) if answer else None
        if status >= 400:
            raise Refused(status, found or {})
        return found
