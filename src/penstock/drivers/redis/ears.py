"""Listening to channels: one connection for all who listen, made anew when it breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from penstock.core.consumer import Listener
from penstock.core.errors import PenstockError
from penstock.drivers.redis.address import Address
from penstock.drivers.redis.link import BEAT, PAUSE, connect
from penstock.drivers.redis.wire import Wire

log = logging.getLogger("penstock.redis")


class Bell(Listener):
    """Wakes one sleeper when something is published on one of its channels, or may have been missed."""

    def __init__(self, ears: Ears, channels: Sequence[str]) -> None:
        self.channels = tuple(channels)
        self._ears = ears
        self._rung = False
        self._sleeper: asyncio.Future[None] | None = None

    async def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something may have changed (True) or `timeout` seconds have passed (False)."""
        if not self._rung:
            await self._sleep(timeout)
        rung, self._rung = self._rung, False
        return rung

    def poke(self) -> None:
        """Wake the one who waits here. Callable from the loop."""
        self._rung = True
        _wake(self._sleeper)

    async def close(self) -> None:
        """Stop listening. Closing twice is fine."""
        self._ears.forget(self)
        self.poke()

    async def _sleep(self, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._sleeper = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, _wake, self._sleeper)
        try:
            await self._sleeper
        finally:
            self._sleeper = None
            if timer is not None:
                timer.cancel()


def _wake(sleeper: asyncio.Future[None] | None) -> None:
    if sleeper is not None and not sleeper.done():
        sleeper.set_result(None)


class Ears:
    """The bells of one driver."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._bells: dict[str, set[Bell]] = {}
        self._heard: set[str] = set()  #: channels that the server has confirmed
        self._wire: Wire | None = None
        self._task: asyncio.Task[None] | None = None

    def listen(self, channels: Sequence[str]) -> Bell:
        """A bell that rings when something is published on one of `channels`; none is missed from now on."""
        bell = Bell(self, channels)
        fresh = [channel for channel in bell.channels if channel not in self._bells]
        for channel in bell.channels:
            self._bells.setdefault(channel, set()).add(bell)
        if fresh and self._wire is not None:
            self._wire.send(("SUBSCRIBE", *fresh))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._keep(), name="penstock-redis-ears")
        return bell

    def forget(self, bell: Bell) -> None:
        gone = []
        for channel in bell.channels:
            bells = self._bells.get(channel, set())
            bells.discard(bell)
            if channel in self._bells and not bells:
                gone.append(channel)
                del self._bells[channel]
        self._heard.difference_update(gone)
        if gone and self._wire is not None:
            self._wire.send(("UNSUBSCRIBE", *gone))

    async def close(self) -> None:
        """Hang up and wake everybody."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for bell in {bell for bells in self._bells.values() for bell in bells}:
            bell.poke()

    async def _keep(self) -> None:
        """Be connected; what may have been missed while it was not rings every bell."""
        while True:
            try:
                self._wire = await connect(self._address, 0, self._push)
            except PenstockError as error:
                log.debug("cannot listen: %s", error)
                await asyncio.sleep(PAUSE)
                continue
            try:
                if self._bells:
                    self._wire.send(("SUBSCRIBE", *self._bells))
                await self._beat(self._wire)
            finally:
                self._wire.close()
                self._wire = None
                self._heard.clear()

    async def _beat(self, wire: Wire) -> None:
        """Until the connection breaks, or no longer answers."""
        while not wire.broken:
            before = wire.answers
            wire.send(("PING",))
            await asyncio.wait([wire.closed], timeout=BEAT)
            if wire.answers == before:
                return

    def _push(self, reply: Any) -> None:
        if not isinstance(reply, list) or len(reply) < 3:
            return
        kind, name = bytes(reply[0]), reply[1]
        if not isinstance(name, bytes):
            return
        channel = name.decode()
        if kind == b"subscribe":
            self._heard.add(channel)
        if kind in (b"message", b"subscribe"):  # before it was confirmed something may have been missed
            for bell in tuple(self._bells.get(channel, ())):
                bell.poke()
