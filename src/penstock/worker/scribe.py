"""The last lines that tasks log and print, on their way to the records.

A short task's lines go with its ending, in the same write. Those of one that runs on are written once a second, in one
write for all tasks of the process. A task that says nothing costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from penstock.client.backends import Backends
from penstock.core.errors import PenstockError
from penstock.core.record import LogPiece
from penstock.worker.patience import Patience

log = logging.getLogger("penstock.worker.scribe")

PAUSE: Final = 1.0  #: seconds between two writes
TRIES: Final = 5  #: writes in which a task without a record is waited for
WAITING: Final = 10_000  #: lines that can wait for the loop; what is said beyond that is not kept


@dataclass(slots=True)
class Said:
    """What one task said and is not written yet."""

    number: int
    lines: deque[bytes] = field(default_factory=deque)
    size: int = 0
    tries: int = 0

    def add(self, line: bytes, keep: int) -> None:
        """Take a line; the oldest go where there would be more than is kept in the end."""
        self.lines.append(line)
        self.size += len(line) + 1
        while self.size > keep and len(self.lines) > 1:
            self.size -= len(self.lines.popleft()) + 1

    def piece(self, task_id: str) -> LogPiece:
        return LogPiece(task_id, self.number, b"[%b]" % b",".join(self.lines))


class Scribe:
    """Gathers lines from any thread; all else happens on the loop that it was made on."""

    def __init__(self, backends: Backends, keep: int, clock: Callable[[], int] = time.time_ns) -> None:
        self.backends = backends
        self.keep = keep  #: bytes of a task; 0: nothing is kept
        self.clock = clock
        self._loop = asyncio.get_running_loop()
        self._patience = Patience("keeping log lines", log)
        self._heard: deque[tuple[str, bytes]] = deque(maxlen=WAITING)
        self._said: dict[str, Said] = {}
        self._last = 0
        self._armed = False
        self._writing: asyncio.Task[None] | None = None

    def note(self, task_id: str, line: bytes) -> None:
        """Take a line. From any thread."""
        if self.keep:
            self._heard.append((task_id, line))
            if not self._armed:
                self._armed = True
                self._loop.call_soon_threadsafe(self._begin)

    def taken(self, task_ids: Sequence[str]) -> list[LogPiece]:
        """What these tasks said; whoever asks writes it."""
        if not (self._heard or self._said):
            return []
        self._sort()
        return [self._said.pop(task_id).piece(task_id) for task_id in task_ids if task_id in self._said]

    async def tell(self) -> None:
        """Write what there is."""
        self._sort()
        said, self._said = self._said, {}
        if not said:
            return
        pieces = [each.piece(task_id) for task_id, each in said.items()]

        def write() -> Awaitable[list[str]]:
            return self.backends.results.logs.add(pieces, self.keep, tell=True)

        try:
            early = await self._patience.run(write)
        except PenstockError as fault:
            log.warning("some log lines of tasks are not kept: %s", fault)
            return
        for task_id in early:  # sent by a stranger: its record comes a little later
            self._try_again(task_id, said[task_id])

    def _try_again(self, task_id: str, said: Said) -> None:
        said.tries += 1
        if said.tries < TRIES:
            later = self._said.get(task_id)
            for line in later.lines if later else ():
                said.add(line, self.keep)
            self._said[task_id] = said

    def _begin(self) -> None:
        self._writing = self._loop.create_task(self._run())

    async def _run(self) -> None:
        while self._heard or self._said:
            await asyncio.sleep(PAUSE)
            await self.tell()
        self._armed = False
        if self._heard:  # said between the look and the flag
            self._armed = True
            self._begin()

    def _sort(self) -> None:
        for _ in range(len(self._heard)):
            task_id, line = self._heard.popleft()
            said = self._said.get(task_id)
            if said is None:
                self._last = max(self._last + 1, self.clock())
                said = self._said[task_id] = Said(self._last)
            said.add(line, self.keep)
