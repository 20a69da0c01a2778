"""Noticing what Celery's producers push: they tell nobody.

Moving a list's front to its own front changes nothing, and blocks while the list is empty. So a connection a queue
waits in such a move, and nothing is ever out of its list on the way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import hiredis

from penstock.core.consumer import Listener
from penstock.core.errors import PenstockError
from penstock.drivers.redis.address import Address
from penstock.drivers.redis.link import connect
from penstock.drivers.redis.wire import Wire

#: seconds after which a sleeper looks again: for what no connection waits for (kombu's lists of raised levels, queues
#: beyond DOORS)
NET = 1.0
#: queues that have a connection of their own
DOORS = 16
_BLOCK = 10  #: seconds after which a move that waits is made anew, so that a dead connection is noticed


class Doorstep(Listener):
    """A bell that also rings when something is put into one of some lists."""

    def __init__(self, bell: Listener, address: Address, keys: Sequence[str]) -> None:
        self._bell = bell
        self._doors = [Door(address, key, bell.poke) for key in keys[:DOORS]]

    async def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something may be there; never for longer than NET."""
        for door in self._doors:
            door.open()
        return await self._bell.wait(NET if timeout is None else min(NET, timeout))

    def served(self) -> None:
        """Something was found: it was worth waking."""
        for door in self._doors:
            door.in_vain = 0

    def poke(self) -> None:
        self._bell.poke()

    async def close(self) -> None:
        await self._bell.close()
        for door in self._doors:
            await door.close()


class Door:
    """Waits for one list to hold something."""

    def __init__(self, address: Address, key: str, ring: Callable[[], None]) -> None:
        self.in_vain = 0  #: how often it rang since something was found; the queue may be paused
        self._address = address
        self._key = key
        self._ring = ring
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Ring once when the list holds something."""
        self._wanted.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._watch(), name=f"penstock-redis-{self._key}")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        wire: Wire | None = None
        try:
            while True:
                await self._wanted.wait()
                try:
                    wire = (
                        wire
                        if wire and not wire.broken
                        else await connect(self._address, self._address.timeout + _BLOCK)
                    )
                    found = await wire.call(("BLMOVE", self._key, self._key, "RIGHT", "RIGHT", _BLOCK))
                except PenstockError:
                    found = None
                    await asyncio.sleep(NET)
                if isinstance(found, hiredis.ReplyError):  # it is full, or is loading: the net is there
                    await asyncio.sleep(NET)
                elif found is not None:
                    await self._rung()
        finally:
            if wire is not None:
                wire.close()

    async def _rung(self) -> None:
        self._wanted.clear()
        if self.in_vain:  # whoever looks again and again would find nothing again and again
            await asyncio.sleep(min(NET, 0.005 * 2 ** min(self.in_vain, 10)))
        self.in_vain += 1
        self._ring()
