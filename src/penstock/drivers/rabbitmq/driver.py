"""Steps on RabbitMQ. There are no transactions: steps are planned first, which finds every fault of ours, then done.

Publishing has a connection of its own, because a server that is short of memory or disk stops reading from those that
publish; what takes, acknowledges and manages messages goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from penstock.core.checkup import Finding
from penstock.core.errors import Unavailable
from penstock.core.step import Driver, Step
from penstock.drivers.amqp.address import Address, parse
from penstock.drivers.amqp.channel import Broken
from penstock.drivers.rabbitmq.checkup import examined
from penstock.drivers.rabbitmq.errors import too_large, translated
from penstock.drivers.rabbitmq.line import Line, numbers

#: what a step is done by, once it is planned
Deed = Callable[[], Awaitable[Any]]
Plan = Callable[["Rabbit"], Deed]
#: arguments of basic.publish, routing key, packed properties, body
Parcel = tuple[bytes, str, bytes, bytes]

_MIB = 1024 * 1024


class Rabbit(Driver):
    """One virtual host of a server or cluster; used from one event loop."""

    def __init__(self, address: Address, clock: Callable[[], float] = time.time) -> None:
        self.address = address
        self.clock = clock
        self.publishing = Line(address)
        self.working = Line(address)
        self._largest = 0  # what the server said when a message was too large; 0: it has not

    @property
    def largest(self) -> int:
        """Bytes of the largest message that the server takes; without its word for it, the version's default."""
        if self._largest:
            return self._largest
        connection = self.publishing.connection or self.working.connection
        version = numbers(str(connection.server.get("version", ""))) if connection else ()
        return 16 * _MIB if version >= (4, 0) else 128 * _MIB

    def step(self, plan: Plan) -> Step[Any]:
        """A step that `plan` plans."""
        return Step(self, plan)

    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """Plan all of `steps`, then do them in order; see core.step.Driver.

        What fails in the server fails for itself: the steps before it are done.
        """
        deeds = [step.work(self) for step in steps]
        return [await deed() for deed in deeds]

    async def publish(self, parcels: Sequence[Parcel]) -> set[str]:
        """Publish, confirmed; return the routing keys that led nowhere.

        Raises Broken for an exchange that is not there, MessageTooLarge, Unavailable.
        """
        channel = await self.publishing.confirming()
        blocked = self.publishing.connection.blocked if self.publishing.connection else ""
        if blocked:
            raise Unavailable(f"{self.address.shown} takes no messages now: {blocked}", unsent=True)
        try:
            return await self.publishing.within(channel.publish(parcels))
        except Broken as error:
            if fault := too_large(error):
                self._largest = fault.limit
                raise fault from error
            if error.code == 404:
                raise
            raise translated(error, self.address) from error

    async def open(self) -> None:
        """Connect and look whether the server can be used. Raises ConfigurationError, StorageError or Unavailable."""
        await self.publishing.connected()

    async def examine(self) -> list[Finding]:
        """Version, login, durability and alarms of the server."""
        return await examined(self.working, self.publishing)

    async def close(self) -> None:
        """Hang up."""
        await self.working.close()
        await self.publishing.close()
        await asyncio.sleep(0)  # lets the transports end


def open_driver(
    url: str, *, settings: Any = None, blocking: bool = False, clock: Callable[[], float] = time.time
) -> Rabbit:
    """A driver for the virtual host that `url` names, not connected yet. Raises ConfigurationError for a wrong URL."""
    del settings, blocking  # its coroutines always suspend
    return Rabbit(parse(url), clock)
