"""What one call of `run` does to the server: guards, then steps, in one script call.

A step that only adds or moves says so and is done. One that has to look first reads cells (values of keys, or of fields
of hashes); the commit then holds only if they are still what was read, and is planned again otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol

from penstock.drivers.redis.wire import Argument, Command

#: a key and "", or a hash and a field of it
Cell = tuple[str, str]
#: takes the answers of the steps; what it returns is the result of a Step
Answer = Callable[[list[Any]], Any]
#: takes what a guard says about its refusal
Refusal = Callable[[Any], Exception]
#: what a Step's `work` is: plans itself into a transaction
Work = Callable[["Transaction"], "Answer | Awaitable[Answer]"]
#: arguments of one command; Lua cannot hand on more than some 8,000
MOST = 4000


class Server(Protocol):
    """What a transaction needs of its driver."""

    @property
    def moment(self) -> float | None:
        """The time by an injected clock; None: the server's own decides."""

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Answers to plain commands."""


class Transaction:
    """One attempt at a commit. `careful`: an earlier attempt was refused by a guard; take the way that reads."""

    def __init__(self, server: Server, careful: bool = False) -> None:
        self.careful = careful
        self.now = 0.0  #: unix seconds by the server's clock, once something was loaded
        self.tasks: set[str] = set()  #: ids of the records that it creates
        self.refusals: list[Refusal | None] = []  #: for each guard; None: try again, carefully
        self._server = server
        self._names: set[str] = set()
        self._guards: list[Argument] = []
        self._steps: list[Argument] = []
        self._count = 0
        self._seen: dict[Cell, bytes | None] = {}
        self._cells: dict[Cell, bytes | None] = {}
        self._lives: dict[Cell, float] = {}
        self._wakes: dict[str, None] = {}

    def guard(self, name: str, *arguments: Argument, refused: Refusal | None = None) -> None:
        """Do nothing at all unless this holds. `refused` makes the error of what the guard says about it."""
        self._names.add(name)
        self._guards += (name, len(arguments), *arguments)
        self.refusals.append(refused)

    def do(self, name: str, *arguments: Argument) -> int:
        """Add a step; the place of its answer."""
        self._names.add(name)
        self._steps += (name, len(arguments), *arguments)
        self._count += 1
        return self._count

    def each(self, command: Sequence[Argument], arguments: Sequence[Argument], group: int = 1) -> None:
        """A variadic command, in as many as it takes; `group` arguments belong together."""
        most = MOST // group * group
        for first in range(0, len(arguments), most):
            self.do("call", *command, *arguments[first : first + most])

    def wake(self, channel: str) -> None:
        """Wake who listens to this channel."""
        self._wakes[channel] = None

    async def ask(self, *commands: Command) -> list[Any]:
        """Look at something that is no cell; it may be another when the commit is made."""
        if self.now:
            return await self._server.ask(commands)
        (seconds, fraction), *answers = await self._server.ask((("TIME",), *commands))
        moment = self._server.moment
        self.now = int(seconds) + int(fraction) / 1_000_000 if moment is None else moment
        return answers

    async def load(self, cells: Iterable[Cell], guarded: bool = True) -> None:
        """Read cells that were not read yet."""
        missing = [cell for cell in dict.fromkeys(cells) if cell not in self._cells]
        if not missing and self.now:
            return
        keys = [key for key, field in missing if not field]
        hashes: dict[str, list[str]] = {}
        for key, field in missing:
            if field:
                hashes.setdefault(key, []).append(field)
        commands: list[Command] = [("MGET", *keys)] if keys else []
        commands += [("HMGET", key, *fields) for key, fields in hashes.items()]
        answers = await self.ask(*commands)
        order = [(key, "") for key in keys] + [(key, field) for key, fields in hashes.items() for field in fields]
        found: dict[Cell, bytes | None] = dict(zip(order, (v for values in answers for v in values), strict=True))
        self._cells |= found
        if guarded:
            self._seen |= found

    def read(self, key: str, field: str = "") -> bytes | None:
        """A cell that was loaded or written."""
        return self._cells[key, field]

    def write(self, value: bytes | None, key: str, field: str = "", *, seconds: float = 0.0) -> None:
        """Set a cell (None: delete it). `seconds`: a key's time to live, 0 for ever."""
        self._cells[key, field] = value
        self._lives[key, field] = seconds

    def command(self, sha: Callable[[Iterable[str]], str]) -> Command | None:
        """The script call; None if nothing is to be written. `sha` tells which script has these guards and steps."""
        self._write_cells()
        if not self._count and len(self.refusals) == 0:
            return None
        if self._count:
            self._guard_cells()
        for channel in self._wakes:
            self.do("call", "PUBLISH", channel, "")
        moment = self._server.moment
        return (
            "EVALSHA", sha(self._names), 0, "" if moment is None else f"{moment:.6f}",
            len(self.refusals), *self._guards, self._count, *self._steps,
        )  # fmt: skip

    def _guard_cells(self) -> None:
        for (key, field), value in self._seen.items():
            self.guard("same", key, field, "0" if value is None else "1", b"" if value is None else value)

    def _write_cells(self) -> None:
        keys: list[Argument] = []
        gone: list[Argument] = []
        hashes: dict[tuple[str, str], list[Argument]] = {}
        for (key, field), seconds in self._lives.items():
            value = self._cells[key, field]
            if field:
                hashes.setdefault(("HDEL" if value is None else "HSET", key), []).extend(
                    (field,) if value is None else (field, value)
                )
            elif value is None:
                gone.append(key)
            elif seconds:
                self.do("call", "SET", key, value, "PX", max(1, int(seconds * 1000)))
            else:
                keys += (key, value)
        self.each(("MSET",), keys, 2)
        self.each(("UNLINK",), gone)
        for (command, key), arguments in hashes.items():
            self.each((command, key), arguments, 2)
