"""PostgreSQL as brokers and result backends see it: steps, `run` and `listen`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from penstock.core.checkup import Finding
from penstock.core.step import Driver, Step
from penstock.drivers.postgres import schema
from penstock.drivers.postgres.address import Address, parse
from penstock.drivers.postgres.checkup import examined
from penstock.drivers.postgres.ears import Bell, Ears
from penstock.drivers.postgres.enlist import enlist
from penstock.drivers.postgres.errors import translated
from penstock.drivers.postgres.link import Links, Session, closed
from penstock.drivers.postgres.transactions import Counters, Read, Reader, Single, Writer

Work = Callable[[Session], Awaitable[Any]]

#: seconds that a migration may take: one process migrates, the others wait for it
_MIGRATION = 600.0


class Postgres(Driver):
    """One schema in one database; used from one event loop. A step's `work` takes a Session and is awaited."""

    composes = True

    def __init__(self, address: Address, clock: Callable[[], float] = time.time) -> None:
        self.address = address
        self.clock = clock
        self.counters = Counters()
        self.look = False  #: whether claims are to tell how the tasks stand: the records are kept here, too
        self.links = Links(address)
        self._migrations = schema.load()
        self._writer: Writer | None = None
        self._reader: Reader | None = None
        self._ears: Ears | None = None
        self._channels: dict[str, tuple[str, int, int]] = {}
        self._closed = False
        self._opening: asyncio.Lock | None = None
        self._ready = False

    @property
    def now(self) -> float | None:
        """The injected clock's time; None where the server's own clock decides."""
        return None if self.clock is time.time else self.clock()

    def statements(self, found: Mapping[str, str]) -> dict[str, str]:
        """Statements that were written for the schema `penstock`, for the one that the URL names."""
        return {name: schema.named(text, self.address.schema) for name, text in found.items()}

    def write(self, work: Work, wakes: str = "", plain: Callable[[], str] | None = None) -> Step[Any]:
        """A step in a write transaction; then the listeners of `wakes` (topics parted by blanks) are woken.

        `work` may be run more than once, and must have no effect but through its session. `plain`: see core.step.Step;
        the statement answers NULL, or a task_id that is taken.
        """
        return Step(self, work, wakes, plain)

    def single(self, work: Work, wakes: str = "", plain: Callable[[], str] | None = None) -> Step[Any]:
        """A `write` that is one statement."""
        return Single(self, work, wakes, plain)

    def read(self, work: Work) -> Step[Any]:
        """A step that only reads."""
        return Read(self, work)

    def listen(self, topic: str, dozes: bool = False) -> Bell:
        """A bell that rings after a commit of steps with this topic, in any process. `dozes`: see Bell."""
        if self._ears is None:
            self._ears = Ears(self.links)
        return self._ears.listen(topic, dozes)

    def channels(self, topics: Sequence[str]) -> tuple[list[str], list[int], list[int]]:
        """The channels of topics, the locks that those who listen there hold, and the gates that these came through."""
        ears = self._ears or Ears(self.links)
        for topic in topics:
            if topic not in self._channels:
                self._channels[topic] = ears.channel(topic), ears.key(topic), ears.gate(topic)
        found = [self._channels[topic] for topic in topics]
        return [each[0] for each in found], [each[1] for each in found], [each[2] for each in found]

    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """Run `steps` in order in one transaction; see core.step.Driver."""
        if self._closed:
            raise closed(self.address.shown)
        if not self._ready:
            await self.open()
        if all(type(step) is Read for step in steps):
            if self._reader is None:
                self._reader = Reader(self.links, lambda: self.now, self.counters)
            return await self._reader.run(steps)
        if self._writer is None:
            self._writer = Writer(self.links, lambda: self.now, self.channels, self.counters)
        return await self._writer.run(steps)

    def enlist(self, steps: Sequence[Step[Any]], connection: Any) -> Awaitable[None] | None:
        """Run steps in the transaction that is open on `connection`; see core.step.Driver."""
        return enlist([_plain(step) for step in steps], connection, self.address.shown)

    async def open(self) -> None:
        """Connect and bring the tables up to date. Raises ConfigurationError, StorageError or Unavailable."""
        self._closed = False
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if not self._ready:
                await self._prepare()
                self._ready = True

    async def examine(self) -> list[Finding]:
        """Version, login, durability and room of the server."""

        async def look(session: Session) -> list[Finding]:
            newest = schema.named("SELECT max(number) FROM penstock.migrations", self.address.schema)
            return await examined(session, self.address, await session.value(newest))

        [findings] = await self.run((self.read(look),))
        return list(findings)

    async def close(self) -> None:
        """Finish what waits, then hang up."""
        self._closed, self._ready = True, False
        ears, self._ears = self._ears, None
        if ears is not None:
            await ears.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.close()
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()

    async def _prepare(self) -> None:
        """Migrate on a connection of its own, while another one shows whether a pooler stands between."""
        writer = Writer(self.links, lambda: self.now, self.channels, self.counters)
        await writer.connect()
        connection = None
        try:
            connection = await self.links.connect()
            async with asyncio.timeout(_MIGRATION):
                await schema.migrate(connection, self.address.schema, self.address.shown, self._migrations)
            await connection.close(timeout=1.0)
        except BaseException as error:  # whatever stopped it, nobody else will hang up
            if connection is not None:
                connection.terminate()
            await writer.close()
            if isinstance(error, Exception):
                raise translated(error, self.address.shown, unsent=True) from error
            raise
        self._writer = writer


def _plain(step: Step[Any]) -> str:
    assert step.plain is not None, "a step without a statement for connections of others"
    return step.plain()


def open_driver(
    url: str, *, settings: Any = None, blocking: bool = False, clock: Callable[[], float] = time.time
) -> Postgres:
    """A driver for the schema that `url` names, not connected yet. Raises ConfigurationError for a wrong URL."""
    del settings, blocking  # its coroutines always suspend
    return Postgres(parse(url), clock)
