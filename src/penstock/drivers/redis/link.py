"""A connection that is there when it is asked for: made at first use, logged in, made anew after it broke."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

import hiredis

from penstock.core.errors import ConfigurationError, Unavailable
from penstock.drivers.redis.address import Address
from penstock.drivers.redis.errors import translated, unreachable
from penstock.drivers.redis.wire import Command, Wire

PAUSE: Final = 0.2  #: seconds between tries to connect of who listens
BEAT: Final = 10.0  #: seconds between questions that show whether the connection is still there


async def connect(address: Address, timeout: float, push: Callable[[Any], None] | None = None) -> Wire:
    """A new connection, logged in and in its database. `timeout`: see Wire.

    Raises Unavailable (nothing was sent), ConfigurationError for a login or database that is refused, StorageError.
    """
    with reaching(address):
        async with asyncio.timeout(address.connect_timeout):
            wire = await _dial(address, timeout, push)
            try:
                await greet(wire, address)
            except BaseException:  # whatever stopped it, nobody else will hang up
                wire.close()
                raise
    return wire


@contextmanager
def reaching(address: Address) -> Iterator[None]:
    """While a connection is made: whatever fails, nothing of what was to be said has been sent."""
    try:
        yield
    except (OSError, TimeoutError, Unavailable) as error:
        raise error if isinstance(error, Unavailable) and error.unsent else unreachable(error, address.shown) from error


async def _dial(address: Address, timeout: float, push: Callable[[Any], None] | None) -> Wire:
    loop = asyncio.get_running_loop()

    def make() -> Wire:
        return Wire(address.shown, timeout, push)

    if address.path:
        _, wire = await loop.create_unix_connection(make, address.path)
    else:
        name = address.host if address.tls else None
        _, wire = await loop.create_connection(make, address.host, address.port, ssl=address.tls, server_hostname=name)
    return wire


class Asks(Protocol):
    """A connection."""

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go; their answers in order."""


async def greet(wire: Asks, address: Address) -> None:
    """Log in and choose the database. Raises ConfigurationError, StorageError or Unavailable."""
    commands: list[Command] = []
    if address.password:
        commands.append(("AUTH", *filter(None, (address.username, address.password))))
    if address.db:
        commands.append(("SELECT", address.db))
    commands.append(("CLIENT", "SETNAME", "penstock"))
    commands.append(("PING",))  # asks whether the login suffices, and whether the data is there
    for command, reply in zip(commands, await wire.ask(commands), strict=True):
        if not isinstance(reply, hiredis.ReplyError) or command[0] == "CLIENT":  # some hosts refuse that one
            continue
        if command[0] == "PING" and str(reply).startswith("MISCONF"):  # it cannot be written to, but read
            continue
        if command[0] == "SELECT":
            raise ConfigurationError(f"{address.shown}: there is no database {address.db} there: {reply}")
        raise translated(reply, address.shown)


class Link:
    """One connection for whoever wants to ask something; all questions go out at once, in order."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._wire: Wire | None = None
        self._connecting: asyncio.Task[Wire] | None = None
        self.closed = False

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands in one go; their answers. Raises Unavailable, and the first error reply translated."""
        wire = self._wire
        if wire is None or wire.broken:
            wire = await self._connected()
        replies = await wire.ask(commands)
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise translated(reply, self.address.shown)
        return replies

    async def call(self, command: Command) -> Any:
        """Send a command; its answer, which may be a hiredis.ReplyError."""
        wire = self._wire
        if wire is None or wire.broken:
            wire = await self._connected()
        return await wire.call(command)

    async def breathe(self) -> None:
        """Let others go on for a moment."""
        await asyncio.sleep(0)

    def close(self) -> None:
        self.closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    async def _connected(self) -> Wire:
        if self.closed:
            raise Unavailable(f"{self.address.shown} was closed by this program", unsent=True)
        if self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())
        return await asyncio.shield(self._connecting)  # one caller's cancellation is not the others'

    async def _connect(self) -> Wire:
        try:
            wire = await connect(self.address, self.address.timeout)
            self._wire = wire
            return wire
        finally:
            self._connecting = None
