"""Redis as brokers and result backends see it: steps, `run` and `listen`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from inspect import isawaitable
from typing import Any

import hiredis

from penstock.core.checkup import Finding
from penstock.core.consumer import Listener
from penstock.core.errors import StorageError, Unavailable
from penstock.core.message import Standing
from penstock.core.step import Driver, Step
from penstock.drivers.redis.address import Address, parse
from penstock.drivers.redis.blocking import BlockingEars, BlockingLink
from penstock.drivers.redis.checkup import examined, too_old
from penstock.drivers.redis.ears import Ears
from penstock.drivers.redis.errors import translated
from penstock.drivers.redis.link import Link
from penstock.drivers.redis.script import Script
from penstock.drivers.redis.transaction import Transaction, Work
from penstock.drivers.redis.wire import Command

#: how often a commit is planned again because somebody else was faster
_TRIES = 200


class Redis(Driver):
    """One database of one server; used from one event loop, or from threads that may block (`await` never suspends)."""

    def __init__(self, address: Address, clock: Callable[[], float] = time.time, *, blocking: bool = False) -> None:
        self.address = address
        self.clock = clock
        self._script = Script(address.prefix, address.channel)
        self._opened = False
        self._link = BlockingLink(address) if blocking else Link(address)
        self._ears = BlockingEars(address) if blocking else Ears(address)
        #: what the records in this database add to a claim: how the tasks stand that it has brought, in its order; so a
        #: worker need not ask for that in a round trip of its own
        self.look: Callable[[Transaction], Callable[[list[Any]], list[Standing | None]]] | None = None

    @property
    def moment(self) -> float | None:
        """The time by an injected clock; None: the server's own decides."""
        return None if self.clock is time.time else self.clock()

    @property
    def keys(self) -> str:
        """What stands before the names of our own keys."""
        return f"{self.address.prefix}penstock:"

    def require(self, package: str, path: str) -> None:
        """Have the functions of a part's Lua file in the script."""
        self._script.require(package, path)

    def step(self, work: Work) -> Step[Any]:
        """A step that `work` plans."""
        return Step(self, work)

    def listen(self, *topics: str) -> Listener:
        """A bell that rings when one of `topics` is woken."""
        return self._ears.listen([self.channel(topic) for topic in topics])

    def listen_to(self, channels: Sequence[str]) -> Listener:
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
                await self._link.breathe()
        raise Unavailable(f"{self.address.shown}: too many others write the same")

    async def open(self) -> None:
        """Connect and look whether the server can be used. Raises ConfigurationError, StorageError or Unavailable."""
        if self._opened and not self._link.closed:
            return
        self._link.closed = False
        [info] = await self.ask([("INFO", "server")])
        if fault := too_old(info):
            await self.close()
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
        await self._link.breathe()  # lets the transports end

    async def _commit(self, transaction: Transaction) -> list[Any] | None:
        """The answers of the steps, from place 1 on; None if a guard wants another try."""
        command = transaction.command(self._script.sha)
        if command is None:
            return []
        reply = await self._link.call(command)
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOSCRIPT"):
            reply = await self._reload(command)
        if isinstance(reply, hiredis.ReplyError):
            raise translated(reply, self.address.shown)
        if reply[0] == 0:
            return list(reply)
        refusal = transaction.refusals[reply[0] - 1]
        if refusal is not None:
            raise refusal(reply[1] if len(reply) > 1 else None)
        return None

    async def _reload(self, command: Command) -> Any:
        """Make a script known that the server does not know yet, or has forgotten, and call it."""
        await self._link.call(("SCRIPT", "LOAD", self._script.texts[str(command[1])]))
        return await self._link.call(command)


async def _result(found: Any | Awaitable[Any]) -> Any:
    return await found if isawaitable(found) else found


def open_driver(
    url: str, *, settings: Any = None, blocking: bool = False, clock: Callable[[], float] = time.time
) -> Redis:
    """A driver for the database that `url` names, not connected yet. Raises ConfigurationError for a wrong URL."""
    del settings
    return Redis(parse(url), clock, blocking=blocking)
