"""Listening: one connection for all who listen, made anew when it breaks.

Whoever must be woken holds a shared advisory lock on this connection: only while somebody does are notifications sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from penstock.core.consumer import Listener
from penstock.core.errors import PenstockError
from penstock.drivers.postgres.link import Links

log = logging.getLogger("penstock.postgres")

_PAUSE = 0.2  #: seconds between tries to connect
_BEAT = 10.0  #: seconds between questions that show whether the connection is still there
#: seconds after which a sleeper looks by himself: a process may die between its commit and the notification
_NET = 5.0
# in this order; what was being written before is committed then
_FALL_ASLEEP = "SELECT pg_advisory_lock_shared($1), pg_advisory_xact_lock($2)"


class Bell(Listener):
    """Wakes one sleeper when its topic is told of, or may have been missed.

    A bell that `dozes` is told of nothing until its owner waits: its first wait returns as soon as it is listened
    for, so that the owner looks once more before it sleeps. While it is busy, nobody notifies for its sake.
    """

    def __init__(self, ears: Ears, topic: str, dozes: bool) -> None:
        self.topic = topic
        self.dozes = dozes
        self._ears = ears
        self._rung = False
        self._sleeper: asyncio.Future[None] | None = None

    async def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something may have changed (True) or `timeout` seconds have passed (False)."""
        if not self._rung:
            self._ears.add(self)
            netted = timeout is None or timeout > _NET
            await self._sleep(_NET if netted else timeout)
            self._rung = self._rung or netted
        rung, self._rung = self._rung, False
        return rung

    def poke(self) -> None:
        """Wake the one who waits here. Callable from the loop."""
        self._rung = True
        _wake(self._sleeper)

    def ring(self) -> None:
        """It was told of its topic. Its owner goes first, then the lock is given back."""
        self.poke()
        if self.dozes:
            self._ears.remove(self)

    async def close(self) -> None:
        """Stop listening. Closing twice is fine."""
        self._ears.remove(self)
        self.poke()

    async def _sleep(self, timeout: float | None) -> None:
        self._sleeper = asyncio.get_running_loop().create_future()
        timer = asyncio.get_running_loop().call_later(timeout or 0.0, _wake, self._sleeper)
        try:
            await self._sleeper
        finally:
            self._sleeper = None
            timer.cancel()


def _wake(sleeper: asyncio.Future[None] | None) -> None:
    if sleeper is not None and not sleeper.done():
        sleeper.set_result(None)


class Ears:
    """The bells of one driver, and the connection that hears for them."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._bells: dict[str, set[Bell]] = {}
        self._held: set[str] = set()  #: topics whose lock the connection holds
        self._heard: set[str] = set()  #: topics that it listens to
        self._stir = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def channel(self, topic: str) -> str:
        """The channel of a topic."""
        return f"{self._links.address.schema}.{topic}"

    def key(self, topic: str) -> int:
        """The lock that those who listen to a topic hold."""
        digest = blake2b(f"penstock/{self.channel(topic)}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def gate(self, topic: str) -> int:
        """The lock that they wait for once they hold that one; statements that write and look for them stand in it."""
        return self.key(f"{topic}/gate")

    def listen(self, topic: str, dozes: bool) -> Bell:
        """A bell for a topic. Nothing is missed from now on; it may ring for nothing."""
        self._closed = False
        bell = Bell(self, topic, dozes)
        if not dozes:
            self.add(bell)
        return bell

    def add(self, bell: Bell) -> None:
        bells = self._bells.setdefault(bell.topic, set())
        if bell in bells or self._closed:
            return
        bells.add(bell)
        if bell.topic in self._held:  # heard from now on; what was committed just before is not
            bell.poke()
        self._stir.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._keep(), name="penstock-postgres-ears")

    def remove(self, bell: Bell) -> None:
        bells = self._bells.get(bell.topic)
        if bells is not None and bell in bells:
            bells.discard(bell)
            self._stir.set()

    async def close(self) -> None:
        """Hang up and wake everybody."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        bells = {bell for bells in self._bells.values() for bell in bells}
        self._bells.clear()
        for bell in bells:
            bell.poke()

    async def _keep(self) -> None:
        """Be connected; what may have been missed while it was not rings every bell."""
        while True:
            try:
                connection = await self._links.connect(watched=lambda _connection: self._stir.set())
            except PenstockError as error:
                log.debug("cannot listen: %s", error)
                await asyncio.sleep(_PAUSE)
                continue
            try:
                await self._hear(connection)
            except Exception as error:  # whatever it is, hanging up and calling again is the answer
                log.debug("cannot listen: %s", error)
                await asyncio.sleep(_PAUSE)
            finally:
                self._held.clear()
                self._heard.clear()
                connection.terminate()

    async def _hear(self, connection: Any) -> None:
        """Until the connection breaks, or no longer answers."""
        timeout = self._links.address.timeout
        while not connection.is_closed():
            self._stir.clear()
            async with asyncio.timeout(timeout):
                await self._arrange(connection)
            try:
                async with asyncio.timeout(_BEAT):
                    await self._stir.wait()
            except TimeoutError:
                await connection.fetchval("SELECT 1", timeout=timeout)

    async def _arrange(self, connection: Any) -> None:
        """Hold the locks of topics that somebody waits for, and of no others."""
        wanted = {topic for topic, bells in self._bells.items() if bells}
        for topic in wanted - self._held:
            if topic not in self._heard:
                await connection.add_listener(self.channel(topic), self._told(topic))
                self._heard.add(topic)
            await connection.execute(_FALL_ASLEEP, self.key(topic), self.gate(topic))
            self._held.add(topic)
            for bell in tuple(self._bells.get(topic, ())):
                bell.poke()  # still listening: only what came before may have been missed
        for topic in self._held - wanted:
            await connection.fetchval("SELECT pg_advisory_unlock_shared($1)", self.key(topic))
            self._held.discard(topic)
            if self._bells.get(topic):  # somebody came meanwhile
                self._stir.set()

    def _told(self, topic: str) -> Callable[..., None]:
        def told(*_: Any) -> None:
            for bell in tuple(self._bells.get(topic, ())):
                bell.ring()

        return told
