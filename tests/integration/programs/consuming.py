"""A queue with raw messages, and `penstock consume` on it: what the tests of both suites need."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from penstock.client import operations
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.broker import QueueDepth
from penstock.core.message import Message
from penstock.core.record import DeadLetter
from tests.processes import PENSTOCK, Launched, eventually

T = TypeVar("T")


class Line:
    """One queue called `work` in a place of its own, and a folder for what programs write."""

    def __init__(self, broker: str, results: str, folder: Path) -> None:
        self.folder = folder
        self.env = {"PENSTOCK_BROKER_URL": broker, "PENSTOCK_RESULT_BACKEND": results, "PENSTOCK_LEASE": "3"}
        self.env["PENSTOCK_LEASE_RENEWAL"] = "0.5"
        self.app = Penstock("test", broker=broker, result_backend=results)

    def ask(self, question: Callable[[Backends], Awaitable[T]]) -> T:
        async def main() -> T:
            async with self.app.backends() as backends:
                return await question(backends)

        return asyncio.run(main())

    def publish(self, *bodies: bytes) -> None:
        async def publish(backends: Backends) -> None:
            for body in bodies:
                await operations.publish(backends, "work", body)

        self.ask(publish)

    def put(self, *messages: Message) -> None:
        """Messages as another producer may write them."""

        async def put(backends: Backends) -> None:
            await backends.broker.publish(messages)

        self.ask(put)

    def letters(self) -> list[DeadLetter]:
        async def letters(backends: Backends) -> list[DeadLetter]:
            found, cursor = await backends.results.dead.page(limit=1000)
            while cursor is not None:
                more, cursor = await backends.results.dead.page(limit=1000, cursor=cursor)
                found += more
            return found

        return self.ask(letters)

    def depth(self) -> QueueDepth | None:
        async def depth(backends: Backends) -> QueueDepth | None:
            return next(iter(await backends.broker.depth(["work"])), None)

        return self.ask(depth)

    def empty(self) -> bool:
        """Nothing waits, is delayed or in anybody's hands."""
        depth = self.depth()
        return depth is None or not (depth.ready or depth.delayed or depth.claimed)

    def drained(self, within: float = 120.0) -> None:
        eventually(self.empty, within=within, every=0.2, what="the end of all messages")

    def command(self, options: Sequence[str], program: Sequence[str]) -> list[str]:
        return [PENSTOCK, "consume", "-q", "work", *options, "--", *program]

    @contextlib.contextmanager
    def consumer(self, *program: str, options: Sequence[str] = ()) -> Iterator[Launched]:
        """A consumer that has said that it is ready."""
        process = Launched(self.command(options, program), self.folder, self.env)
        try:
            process.prints("ready:")
            yield process
        finally:
            process.clean()

    def script(self, name: str, text: str) -> str:
        """A shell script in the folder."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)
