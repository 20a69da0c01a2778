"""When commands leave for the server."""

from __future__ import annotations

import asyncio
from typing import cast

from penstock.drivers.redis.wire import Wire, packed


class Transport:
    """Notes what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        pass


async def test_the_first_command_leaves_at_once_and_those_beside_it_together() -> None:
    wire, transport = Wire("redis://", 0.0), Transport()
    wire.connection_made(cast("asyncio.Transport", transport))
    first, second, third = (wire.call(("GET", name)) for name in "abc")
    assert transport.written == [packed(("GET", "a"))]  # the server works while the next ones are packed
    await asyncio.sleep(0)
    assert transport.written[1:] == [packed(("GET", "b")) + packed(("GET", "c"))]
    wire.data_received(b"+1\r\n+2\r\n+3\r\n")
    assert [await each for each in (first, second, third)] == [b"1", b"2", b"3"]
    wire.close()
