"""One reader of the feed of changes for a whole process, and any number of listeners to it.

However many streams and waits there are, each change is read once and encoded once; while nobody listens to all tasks,
only what is said of the tasks that somebody listens to is read at all. A listener has room for a bounded number of
lines; one that does not take them in time is cut, and may come back and resume where it was.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from penstock.api import show
from penstock.api.answer import encode
from penstock.api.reader import Reader
from penstock.core.errors import StorageError, Unavailable
from penstock.core.record import Change, Excerpt
from penstock.core.results import Records, Watch

log = logging.getLogger("penstock.api")

ROOM = 1000  # lines that a listener may fall behind
CHUNK = 1000  # lines a read
SEARCHED = 10_000  # lines a read that looks for those of one task
REPLAYED = 100_000  # lines that are searched for what one task's stream missed
PAUSE = 1.0  # seconds until the feed is tried again after an outage
GATHER = 0.02  # seconds that lines are gathered at most
IDLE = 5.0  # seconds after which the feed is looked at even if nothing woke us


_EVENTS = {"PROGRESS": "progress", "LOG": "log"}


class Line:
    """A change, and its frame in an event stream, encoded when the first listener needs it."""

    __slots__ = ("_frame", "change")

    def __init__(self, change: Change) -> None:
        self.change = change
        self._frame = b""

    @property
    def frame(self) -> bytes:
        if not self._frame:
            event = _EVENTS.get(self.change.state, "state")
            self._frame = frame(event, show.change(self.change), self.change.seq)
        return self._frame


def frame(event: str, data: Any, seq: int) -> bytes:
    """An event as text/event-stream has it (WHATWG HTML §9.2.5)."""
    lines = encode(data).replace(b"\n", b"\ndata: ")
    return b"id: %d\nevent: %s\ndata: %b\n\n" % (seq, event.encode(), lines)


class Listener:
    """Gets every line after `after` that it wants, unless it is `cut`."""

    def __init__(self, wants: Callable[[Change], bool], after: int) -> None:
        self.wants = wants
        self.after = after
        self.cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = False
        self._lines: deque[Line] = deque()
        self._news = asyncio.Event()

    def give(self, line: Line) -> None:
        """Put a line; cut the listener if there is no more room."""
        if line.change.seq <= self.after:
            return
        if len(self._lines) < ROOM:
            self._lines.append(line)
        elif not self.cut.done():
            self._lines.clear()
            self.cut.set_result(None)
            self.closed = True
        self._news.set()

    def skip(self, upto: int) -> None:
        """Leave out the lines up to this one: they were read otherwise."""
        self.after = max(self.after, upto)
        self._lines = deque(line for line in self._lines if line.change.seq > self.after)

    def close(self) -> None:
        """No more lines will come."""
        self.closed = True
        self._news.set()

    async def take(self, timeout: float) -> list[Line]:
        """The lines that are there, waiting for the first; [] after `timeout` seconds, or when closed."""
        if not self._lines and not self.closed:
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError:
                return []
        self._news.clear()
        lines = list(self._lines)
        self._lines.clear()
        return lines


class Feed(Reader):
    """Reads the feed while anybody listens: all of it, or only what is said of the tasks that are listened to.

    Everything up to `position` has been handed out.
    """

    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self._by_task: dict[str, set[Listener]] = {}
        self._to_all: set[Listener] = set()
        self._more = False  # somebody listens to what nobody listened to before

    @asynccontextmanager
    async def listen(
        self, task_ids: Collection[str] = (), wants: Callable[[Change], bool] = lambda _: True
    ) -> AsyncIterator[Listener]:
        """Listen to some tasks, or to all. Whatever is committed from now on is heard.

        Raises Unavailable if the feed cannot be read.
        """
        await self.start()
        listener = Listener(wants, self.position)
        groups = [self._by_task.setdefault(task_id, set()) for task_id in task_ids] or [self._to_all]
        for group in groups:
            self._more = self._more or not group
            group.add(listener)
        if self.closed:
            listener.close()
        try:
            yield listener
        finally:
            for group in groups:
                group.discard(listener)
            for task_id in task_ids:
                if not self._by_task.get(task_id, True):
                    del self._by_task[task_id]
            self._left = asyncio.get_running_loop().time()

    async def reached(self, seq: int) -> int:
        """`seq`, or where the feed stands if it has never come so far: the id is of a store that was replaced since."""
        newest = await self.records.changes(None)
        return min(seq, newest[-1].seq if newest else 0)

    async def since(self, after: int, upto: int | None = None) -> AsyncIterator[Line]:
        """The lines after a sequence number: those that are there when asked, or those up to another number."""
        full = True
        while full:
            changes = await self.records.changes(after, CHUNK)
            for change in changes:
                if upto is not None and change.seq > upto:
                    return
                after = change.seq
                yield Line(change)
            full = len(changes) == CHUNK

    async def missed(self, task_id: str, after: int) -> list[Line]:
        """A task's lines after a sequence number that are there now; what is REPLAYED lines away is not found."""
        found: list[Line] = []
        left = REPLAYED
        while left > 0:
            part = await self.records.excerpt([task_id], after, min(SEARCHED, left))
            found += [Line(change) for change in part.changes]
            if not part.lines:
                break
            after, left = part.upto, left - part.lines
        return found

    def close(self) -> None:
        """Let every listener finish; those that come later get nothing."""
        super().close()
        for listener in self._listeners():
            listener.close()

    def _listeners(self) -> set[Listener]:
        return self._to_all.union(*self._by_task.values())

    async def _read(self, watch: Watch) -> None:
        """Hand lines out until nobody has listened for a while."""
        while not self._deserted():
            try:
                part = await self._next()
            except (Unavailable, StorageError) as outage:
                log.warning("the feed of changes cannot be read: %s", outage)
                await asyncio.sleep(PAUSE)
                continue
            for change in part.changes:
                self._hand_out(Line(change))
            self.position = part.upto
            if part.lines == CHUNK:
                continue
            # the busier it is, the more lines are gathered for the next read; else a line is handed on at once
            await asyncio.sleep(min(GATHER, 0.001 * max(0, part.lines - 2)))
            await watch.wait(IDLE)

    async def _next(self) -> Excerpt:
        """What the listeners may want of the next lines."""
        self._more = False
        part = await self._excerpt(CHUNK)
        if part.lines and self._more:
            # somebody came while it was read, and had the right to all that is in it: the same lines once more
            again = await self._excerpt(part.lines)
            part = replace(part, changes=[change for change in again.changes if change.seq <= part.upto])
        return part

    async def _excerpt(self, limit: int) -> Excerpt:
        if not self._to_all:
            return await self.records.excerpt(frozenset(self._by_task), self.position, limit)
        changes = await self.records.changes(self.position, limit)
        return Excerpt(changes, changes[-1].seq if changes else self.position, len(changes))

    def _deserted(self) -> bool:
        return not (self._to_all or self._by_task) and asyncio.get_running_loop().time() - self._left > IDLE

    def _hand_out(self, line: Line) -> None:
        change = line.change
        for group in (self._by_task.get(change.task_id, ()), self._to_all):
            for listener in group:
                if listener.wants(change):
                    listener.give(line)
