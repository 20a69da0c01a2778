"""What a handler gives back: an ASGI callable. JSON with msgspec; a problem is an answer too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
from starlette.types import Receive, Scope, Send

from penstock.api.problems import Headers, Problem

encode = msgspec.json.Encoder().encode

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"

#: On every answer: nothing is to be guessed from the content, embedded by other sites or kept by caches.
SAFETY: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Answer(Protocol):
    """Anything that can be sent; `status` is for the counters."""

    status: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Content:
    """A complete answer."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, body: bytes, content_type: bytes = JSON, headers: Headers = ()) -> None:
        self.status = status
        self.body = body
        self.headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            *SAFETY,
            *headers,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI)
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


class Nothing:
    """An answer without a body: 204, or a redirection."""

    __slots__ = ("headers", "status")

    def __init__(self, status: int, headers: Headers = ()) -> None:
        self.status = status
        self.headers = [*SAFETY, *headers]
        if status != 204:
            self.headers.append((b"content-length", b"0"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI)
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b""})


def ok(content: Mapping[str, Any] | list[Any], headers: Headers = ()) -> Content:
    """200 with `content` as JSON."""
    return Content(200, encode(content), headers=headers)


def accepted(content: Mapping[str, Any], headers: Headers = ()) -> Content:
    """202 with `content` as JSON."""
    return Content(202, encode(content), headers=headers)


def refused(problem: Problem) -> Content:
    """The answer that tells of a problem."""
    return Content(problem.kind.status, encode(problem.content()), PROBLEM_JSON, problem.headers)
