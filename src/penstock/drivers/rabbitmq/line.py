"""A connection that is there when it is asked for: made at first use, and anew after it broke."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from penstock.core.errors import ConfigurationError, StorageError, Unavailable
from penstock.drivers.amqp import methods
from penstock.drivers.amqp.address import Address
from penstock.drivers.amqp.channel import Broken, Channel
from penstock.drivers.amqp.connection import Connection, connect
from penstock.drivers.rabbitmq.errors import refused, translated

T = TypeVar("T")

#: the first version with stable quorum queues' time to live, which delays are made of
_OLDEST = (3, 10)


class Line:
    """One connection of a process; all that use it share it."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._confirming: Channel | None = None
        self._opening: asyncio.Lock = asyncio.Lock()
        self._proven = False  # URL and login were right once: from then on a refusal is the server's trouble

    async def connected(self) -> Connection:
        """The connection. Raises Unavailable (nothing was sent), ConfigurationError, StorageError."""
        found = self.connection
        if found is not None and found.broken is None:
            return found
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        try:
            return await asyncio.shield(self._connecting)
        finally:
            if self._connecting is not None and self._connecting.done():
                self._connecting = None

    async def channel(self) -> Channel:
        """A new channel. Raises what `connected` raises."""
        connection = await self.connected()
        return await self.answer(connection.channel())

    async def confirming(self) -> Channel:
        """The channel for publishing, with confirmations. Raises what `connected` raises."""
        found = self._confirming
        if found is not None and found.broken is None:
            return found
        async with self._opening:
            if self._confirming is None or self._confirming.broken is not None:
                channel = await self.channel()
                await self.answer(channel.call(methods.CONFIRM_SELECT, b"\x00"))
                self._confirming = channel
            return self._confirming

    async def answer(self, question: Awaitable[T]) -> T:
        """What the server answers. Raises Unavailable, and closes the connection, if it does not within its time.

        Raises StorageError for what the server refuses.
        """
        try:
            return await self.within(question)
        except Broken as error:
            raise translated(error, self.address) from error

    async def within(self, question: Awaitable[T]) -> T:
        """The same, but refusals are raised as they are (Broken)."""
        try:
            async with asyncio.timeout(self.address.timeout):
                return await question
        except TimeoutError as error:
            text = f"no answer within {self.address.timeout:g} s"
            if self.connection is not None:
                self.connection.fail(Broken(text))
            raise Unavailable(f"{self.address.shown}: {text}") from error

    async def close(self) -> None:
        """Hang up."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
            self._connecting = None
        if self.connection is not None:
            await self.connection.close()
        self.connection = self._confirming = None

    async def _connect(self) -> Connection:
        try:
            connection = await connect(self.address)
        except Broken as error:
            found = refused(error, self.address)
            if self._proven and isinstance(found, ConfigurationError):
                found = Unavailable(str(found), unsent=True)
            raise found from error
        version = str(connection.server.get("version", ""))
        if connection.server.get("product") == "RabbitMQ" and numbers(version) < _OLDEST:
            await connection.close()
            raise StorageError(f"{self.address.shown}: RabbitMQ {version} is too old; 3.10 or later is needed")
        self._proven = True
        self.connection = connection
        return connection


def numbers(version: str) -> tuple[int, ...]:
    """(3, 10) of "3.10.8"."""
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
