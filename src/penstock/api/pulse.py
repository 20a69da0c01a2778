"""How the servers behind this one are: asked one question at a time, and the verdict kept for a second.

So any number of probes costs one question a second, and a server that hangs is not asked again and again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from penstock.client.backends import Backends
from penstock.core.errors import PenstockError
from penstock.core.step import Step

PATIENCE = 2.0  # seconds for both to answer
KEPT = 1.0  # seconds that a verdict is kept

FINE = "ok"


class Pulse:
    """Asks broker and result backend how they are, one question at a time."""

    def __init__(self, backends: Backends, clock: Callable[[], float] = time.monotonic) -> None:
        self.backends = backends
        self.clock = clock
        self._kept: tuple[float, dict[str, str]] | None = None
        self._asking: dict[str, asyncio.Task[str]] = {}
        self._turn = asyncio.Lock()

    async def checks(self) -> dict[str, str]:
        """What is wrong with each of the two; FINE if nothing is."""
        async with self._turn:
            if self._kept is None or self.clock() - self._kept[0] >= KEPT:
                found = await self._ask()
                self._kept = (self.clock(), found)
            return self._kept[1]

    async def _ask(self) -> dict[str, str]:
        questions = {"broker": self.backends.broker.ping, "results": self.backends.results.ping}
        for name, ping in questions.items():
            # a question that was never answered is not asked again; its answer may still come
            if name not in self._asking:
                self._asking[name] = asyncio.create_task(_answer(ping))
        await asyncio.wait(self._asking.values(), timeout=PATIENCE)
        done = {name: task for name, task in self._asking.items() if task.done()}
        for name in done:
            del self._asking[name]
        late = f"no answer within {PATIENCE:g} s"
        return {name: done[name].result() if name in done else late for name in questions}

    async def stop(self) -> None:
        """Wait for no answer any more."""
        for task in self._asking.values():
            task.cancel()
        if self._asking:
            await asyncio.wait(self._asking.values())


async def _answer(ping: Callable[[], Step[None]]) -> str:
    try:
        await ping()
    except PenstockError as fault:
        return str(fault) or type(fault).__name__
    return FINE
