"""What a connection takes: headers up to a size, whether they come at once, bit by bit, or after the body."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from penstock.api import http1
from penstock.api.http1 import ENOUGH, MOST, Gathering, Protocol

FIRST = b"POST /x HTTP/1.1\r\nHost: a\r\n"


class Wire(asyncio.Transport):
    """A connection to nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False
        self.ended = asyncio.Event()

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True
        self.ended.set()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def received(*parts: bytes) -> tuple[Wire, list[bytes]]:
    """Send these parts to a server; what it wrote, and the bodies that its application was given."""
    bodies = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        bodies.append(body)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    state = ServerState()
    protocol = Protocol(Config(application, ws="none", lifespan="off", log_config=None), state, {})
    wire = Wire()
    protocol.connection_made(wire)
    for part in parts:
        if not wire.closed:
            protocol.data_received(part)
    if wire.closed:
        protocol.connection_lost(None)
    while state.tasks:
        await asyncio.gather(*state.tasks)
    by_server = wire.closed
    protocol.connection_lost(None)  # closes, and ends the timer of an idle connection
    wire.closed = by_server
    return wire, bodies


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([FIRST + b"A: " + b"a" * MOST + b"\r\n\r\n"], id="one"),
        pytest.param([FIRST + b"".join(b"A%d: a\r\n" % n for n in range(8000)) + b"\r\n"], id="many"),
        pytest.param([FIRST, b"A: ", *[b"a" * 1000] * 70], id="without end"),
        pytest.param([b"POST /", *[b"a" * 1000] * 70], id="address"),
    ],
)
async def test_headers_over_the_limit_are_431_and_the_end(parts: list[bytes]) -> None:
    wire, bodies = await received(*parts)
    head, _, body = wire.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["type"] == "urn:penstock:problem:headers-too-large"
    assert wire.closed
    assert bodies == []


@pytest.mark.parametrize("trailer", [[b"A: a\r\n"] * 20_000, [b"A: ", *[b"a" * 1000] * 70]])
async def test_headers_after_the_body_count_too(trailer: list[bytes]) -> None:
    wire, _ = await received(FIRST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", *trailer)
    assert wire.written.startswith(b"HTTP/1.1 431 ")
    assert wire.closed


async def test_bodies_do_not_count_and_each_request_begins_anew() -> None:
    body = b"b" * 10_000
    request = FIRST + b"A: %b\r\nContent-Length: 100000\r\n\r\n" % (b"a" * (MOST - 200))
    wire, bodies = await received(*[request, *[body] * 10] * 3)
    assert [len(each) for each in bodies] == [100_000] * 3
    assert wire.written.count(b"HTTP/1.1 204 ") == 3
    assert not wire.closed


async def test_answers_go_out_together_but_not_without_bound() -> None:
    transport = Wire()
    gathering = Gathering(transport, asyncio.get_running_loop())
    gathering.write(b"head")
    gathering.write(b"body")
    assert transport.writes == []
    await asyncio.sleep(0)
    assert transport.writes == [b"headbody"]
    gathering.write(b"much" * ENOUGH)
    assert len(transport.writes) == 2
    gathering.write(b"the last")
    gathering.close()
    assert transport.writes[2:] == [b"the last"]
    assert transport.closed
    gathering.write(b"into the void")
    await asyncio.sleep(0)
    assert len(transport.writes) == 3


async def test_what_is_no_http_is_400() -> None:
    wire, _ = await received(b"nonsense\r\n\r\n")
    assert wire.written.startswith(b"HTTP/1.1 400 ")
    assert wire.closed


@pytest.mark.parametrize(
    ("begun", "missing"),
    [
        pytest.param(b"POST /x HT", "headers", id="in the first line"),
        pytest.param(FIRST, "headers", id="in the headers"),
        pytest.param(FIRST + b"Content-Length: 10\r\n\r\n12345", "body", id="in the body"),
    ],
)
async def test_half_a_request_is_408_in_the_end(begun: bytes, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "PATIENCE", 0.01)
    stopped = asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 (ASGI)
        while (await receive())["type"] != "http.disconnect":
            pass
        stopped.set()

    state = ServerState()
    protocol = Protocol(Config(application, ws="none", lifespan="off", log_config=None), state, {})
    wire = Wire()
    protocol.connection_made(wire)
    protocol.data_received(begun)
    async with asyncio.timeout(30):
        await wire.ended.wait()
        protocol.connection_lost(None)
        if missing == "body":
            await stopped.wait()
    head, _, body = wire.written.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["detail"] == f"the {missing} did not arrive within 0.01 s"


async def test_a_whole_request_leaves_no_timer_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "PATIENCE", 0.0)
    wire, bodies = await received(FIRST, b"Content-Length: 5\r\n\r\n12", b"345")
    await asyncio.sleep(0)
    assert bodies == [b"12345"]
    assert not wire.closed
