"""Progress reports on their way to the records: the latest of each task, at most five writes a second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from penstock.worker.job import Job

PAUSE = 0.2  #: seconds between two writes


class Progress:
    """Gathers reports from any thread; `write` gets the latest of each job, on the loop, and never raises."""

    def __init__(self, write: Callable[[dict[Job, bytes]], Awaitable[None]]) -> None:
        self._write = write
        self._loop = asyncio.get_running_loop()
        self._reports: deque[tuple[Job, bytes]] = deque()
        self._armed = False
        self._writing: asyncio.Task[None] | None = None

    def report(self, job: Job, progress: bytes) -> None:
        """Take a report. From any thread."""
        self._reports.append((job, progress))
        if not self._armed:
            self._armed = True
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        self._writing = self._loop.create_task(self._run())

    async def _run(self) -> None:
        reports = self._reports
        while reports:
            await self._write(dict(reports.popleft() for _ in range(len(reports))))
            await asyncio.sleep(PAUSE)
        self._armed = False
        if reports:  # reported between the look and the flag
            self._armed = True
            self._begin()
