"""Redis as brokers and result backends see it: steps, `run` and `listen`."""

from __future__ import annotations

import asyncio
import hashlib
import pkgutil
import time
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any

import hiredis

from penstock.core.checkup import Finding
from penstock.core.errors import StorageError, Unavailable
from penstock.core.step import Driver, Step
from penstock.drivers.redis.address import Address, parse
from penstock.drivers.redis.checkup import examined, too_old
from penstock.drivers.redis.ears import Bell, Ears
from penstock.drivers.redis.errors import translated
from penstock.drivers.redis.link import Link
from penstock.drivers.redis.transaction import Transaction, Work
from penstock.drivers.redis.wire import Command

#: how often a commit is planned again because somebody else was faster
_TRIES = 200


class Redis(Driver):
    """One database of one server; used from one event loop."""

    def __init__(self, address: Address, clock: Callable[[], float] = time.time) -> None:
        self.address = address
        self.clock = clock
        self._parts: dict[str, str] = {}
        self._script, self._sha = "", ""
        self._opened = False
        self._link = Link(address, self._prepare)
        self._ears = Ears(address)

    @property
    def ahead(self) -> float:
        """Seconds that the injected clock is ahead of the real one; the server's own decides otherwise."""
        return 0.0 if self.clock is time.time else self.clock() - time.time()

    @property
    def keys(self) -> str:
        """What stands before the names of our own keys."""
        return f"{self.address.prefix}penstock:"

    def require(self, package: str, path: str) -> None:
        """Have the functions of a part's Lua file in the script."""
        data = pkgutil.get_data(package, path)
        assert data is not None, f"{path} in {package}"
        self._parts[package] = data.decode()
        self._script = ""

    def step(self, work: Work) -> Step[Any]:
        """A step that `work` plans."""
        return Step(self, work)

    def listen(self, *topics: str) -> Bell:
        """A bell that rings when one of `topics` is woken."""
        return self._ears.listen([self.channel(topic) for topic in topics])

    def listen_to(self, channels: Sequence[str]) -> Bell:
        """A bell that rings when something is published on these channels, whoever does it."""
        return self._ears.listen(channels)

    def channel(self, topic: str) -> str:
        """The channel of a topic of ours."""
        return self.address.channel + topic

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Answers to plain commands, sent in one go."""
        return await self._link.ask(commands)

    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """Run `steps` in one script call; see core.step.Driver."""
        for attempt in range(_TRIES):
            transaction = Transaction(self, careful=attempt > 0)
            answers = []
            for step in steps:
                answer = step.work(transaction)
                answers.append(await answer if isawaitable(answer) else answer)
            replies = await self._commit(transaction)
            if replies is not None:
                return [await _result(answer(replies)) for answer in answers]
            if attempt > 2:
                await asyncio.sleep(0)
        raise Unavailable(f"{self.address.shown}: too many others write the same")

    async def open(self) -> None:
        """Connect and look whether the server can be used. Raises ConfigurationError, StorageError or Unavailable."""
        if self._opened and not self._link.closed:
            return
        self._link.closed = False
        [info] = await self.ask([("INFO", "server")])
        if fault := too_old(info):
            raise StorageError(f"{self.address.shown}: {fault}")
        self._opened = True

    async def examine(self) -> list[Finding]:
        """Version, login, durability and memory of the server."""
        return await examined(self.ask, self.address)

    async def close(self) -> None:
        """Hang up."""
        self._opened = False
        self._link.close()
        await self._ears.close()
        await asyncio.sleep(0)  # lets the transports end

    async def _commit(self, transaction: Transaction) -> list[Any] | None:
        """The answers of the steps, from place 1 on; None if a guard wants another try."""
        command = transaction.command(self._identified())
        if command is None:
            return []
        reply = await self._link.call(command)
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):  # somebody flushed them
            _, reply = await self._reload(command)
        if isinstance(reply, hiredis.ReplyError):
            raise translated(reply, self.address.shown)
        if reply[0] == 0:
            return list(reply)
        refusal = transaction.refusals[reply[0] - 1]
        if refusal is not None:
            raise refusal
        return None

    async def _reload(self, command: Command) -> list[Any]:
        return [await self._link.call(each) for each in (*self._prepare(), command)]

    def _prepare(self) -> Sequence[Command]:
        self._identified()
        return [("SCRIPT", "LOAD", self._script)]

    def _identified(self) -> str:
        """The hash of the script, which is put together anew after a part was added."""
        if not self._script:
            data = pkgutil.get_data("penstock.drivers.redis", "commit.lua")
            assert data is not None
            named = f"local K, C = {_quoted(self.address.prefix)}, {_quoted(self.address.channel)}\n"
            parts = "\n".join(text for _, text in sorted(self._parts.items()))
            self._script = named + data.decode().replace("--PARTS--", parts)
            self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        return self._sha


def _quoted(text: str) -> str:
    """A Lua string of these bytes."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'


async def _result(found: Any | Awaitable[Any]) -> Any:
    return await found if isawaitable(found) else found


def open_driver(
    url: str, *, settings: Any = None, blocking: bool = False, clock: Callable[[], float] = time.time
) -> Redis:
    """A driver for the database that `url` names, not connected yet. Raises ConfigurationError for a wrong URL."""
    del settings, blocking  # its coroutines always suspend
    return Redis(parse(url), clock)
