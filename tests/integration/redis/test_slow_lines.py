"""A message that takes longer on its way than a server may be silent, against a server that is silent."""

from __future__ import annotations

import asyncio

import pytest

from penstock.core.errors import Unavailable
from penstock.drivers.redis.address import parse
from penstock.drivers.redis.link import connect

PATIENCE = 1.0  #: seconds in which something has to move
PAUSE = 0.1  #: seconds before each portion
PORTION = 4 * 1024 * 1024  #: bytes that the line takes then
BODY = 20 * PORTION  #: so that it is on its way for twice as long as the server may be silent


class Server:
    """Logs everybody in, reads the rest slowly, and answers once all of it is there, or never."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = b""
        while b"PING\r\n" not in seen:
            seen += await reader.read(4096)
        writer.write(b"+OK\r\n" * (seen.count(b"*") - 1) + b"+PONG\r\n")
        taken = 0
        try:
            while taken < BODY:
                await asyncio.sleep(PAUSE)  # the line's pace
                taken += len(await reader.readexactly(min(PORTION, BODY - taken)))
            if self.answers:
                writer.write(b"+OK\r\n")
            await reader.read()
        except asyncio.IncompleteReadError:  # it was given up
            pass
        finally:
            writer.close()
            self.over.set()


async def sent(*, answers: bool) -> bytes:
    slow = Server(answers=answers)
    async with await asyncio.start_server(slow.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        wire = await connect(parse(f"redis://127.0.0.1:{port}/0"), PATIENCE)
        try:
            answer: bytes = await wire.call(("SET", "body", bytes(BODY)))
            return answer
        finally:
            wire.close()
            await slow.over.wait()


def test_a_message_may_take_longer_than_a_server_may_be_silent() -> None:
    assert asyncio.run(sent(answers=True)) in (b"OK", "OK")


def test_a_server_that_is_silent_after_it_is_given_up() -> None:
    with pytest.raises(Unavailable, match="no answer within 1 s"):
        asyncio.run(sent(answers=False))
