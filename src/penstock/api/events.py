"""Server-sent events (WHATWG HTML §9.2): what happens to one task, or to all.

Ids are the sequence numbers of the feed, so that `Last-Event-ID` resumes without a gap. When its task has ended, a
stream ends too; the browser that then comes back with the id of the ending gets 204, which tells it to stay away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from penstock.api import show
from penstock.api.answer import SAFETY, Answer, Nothing
from penstock.api.call import Call
from penstock.api.feed import Line, Listener, frame
from penstock.core.errors import NotFound, StorageError, Unavailable
from penstock.core.record import Change, Record
from penstock.core.states import ENDED

HEARTBEAT = 15.0  # seconds; keeps proxies from closing a silent stream
ALIVE = b": alive\n\n"

Frames = AsyncGenerator[bytes, None]


class EventStream:
    """An answer that goes on. It ends with its frames, with the client, or when the client does not keep up."""

    status = 200

    def __init__(self, frames: Callable[[asyncio.Future[None]], Frames]) -> None:
        self._frames = frames

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (ASGI)
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no"), *SAFETY]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        cut: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        writer = asyncio.create_task(self._write(send, cut))
        gone = asyncio.create_task(_disconnected(receive))
        await asyncio.wait({writer, gone, cut}, return_when=asyncio.FIRST_COMPLETED)
        finished = writer.done()
        writer.cancel()
        gone.cancel()
        await asyncio.wait({writer, gone})
        if finished:
            writer.result()
            await send({"type": "http.response.body", "body": b""})

    async def _write(self, send: Send, cut: asyncio.Future[None]) -> None:
        frames = self._frames(cut)
        try:
            async for each in frames:
                if each:
                    await send({"type": "http.response.body", "body": each, "more_body": True})
        except (Unavailable, StorageError):
            return  # the client comes back by itself, with the id of the last event it saw
        finally:
            await frames.aclose()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def of_all(call: Call) -> Answer:
    """GET /events."""
    feed, wants, after = call.site.feed, _filter(call), call["Last-Event-ID"]
    await feed.start()
    stands = None if after is None else await feed.reached(after)  # now: all that comes after the answer is told

    async def frames(cut: asyncio.Future[None]) -> Frames:
        yield ALIVE
        seen = stands
        if seen is not None:
            # first what is far behind, however much it is; only then is the listener's room of use
            async for line in feed.since(seen):
                seen = line.change.seq
                yield _wanted(line, wants)
        async with feed.listen(wants=wants) as listener:
            _tie(listener, cut)
            if seen is not None:
                listener.skip(seen)  # the feed's reader may be behind us
                async for line in feed.since(seen, listener.after):
                    yield _wanted(line, wants)
            async for lines in _live(listener):
                yield _joined(lines)

    return EventStream(frames)


async def of_task(call: Call) -> Answer:
    """GET /tasks/{task}/events."""
    feed, task_id, after = call.site.feed, call["task"], call["Last-Event-ID"]
    record = await _record(call, task_id)
    if after is not None and record.state in ENDED and not await feed.missed(task_id, after):
        return Nothing(204)

    async def frames(cut: asyncio.Future[None]) -> Frames:
        async with feed.listen([task_id]) as listener:
            _tie(listener, cut)
            record = await _record(call, task_id)
            # all that is there, the end of a task that has ended with it, however far behind the feed's reader is
            missed = [] if after is None else await feed.missed(task_id, after)
            if missed:
                listener.skip(missed[-1].change.seq)
                yield _joined(missed)
            elif after is None:
                yield _snapshot(record, listener.after)
            else:
                yield ALIVE
            if record.state in ENDED:
                return
            async for lines in _live(listener):
                yield _joined(lines)
                if any(line.change.state in ENDED for line in lines):
                    return

    return EventStream(frames)


async def digest(call: Call) -> Answer:
    """GET /events/digest."""
    digest = call.site.digest
    await digest.start()

    async def frames(cut: asyncio.Future[None]) -> Frames:  # noqa: ARG001  (nobody is cut: there is little to take)
        seen = call["Last-Event-ID"]
        async with digest.listening():
            while not digest.closed:
                position = await digest.after(seen, HEARTBEAT)
                if position == seen:
                    yield ALIVE
                    continue
                yield frame("changed", {"changes": 0 if seen is None else max(0, position - seen)}, position)
                seen = position

    return EventStream(frames)


async def _record(call: Call, task_id: str) -> Record:
    found = await call.site.backends.results.records.get([task_id])
    if task_id not in found:
        raise NotFound(f"there is no task {task_id!r}")
    return found[task_id]


def _snapshot(record: Record, seq: int) -> bytes:
    """How the task stands, as its first event."""
    moment = record.finished_at or record.started_at or record.created_at
    of_record: dict[str, Any] = {
        "seq": seq, "at": moment, "task_id": record.task_id, "task": record.task, "queue": record.queue,
        "worker": record.worker,
    }  # fmt: skip
    frames = frame("state", show.change(Change(state=record.state, **of_record)), seq)
    if record.progress is not None:
        frames += frame("progress", show.change(Change(state="PROGRESS", progress=record.progress, **of_record)), seq)
    return frames


def _wanted(line: Line, wants: Callable[[Change], bool]) -> bytes:
    return line.frame if wants(line.change) else b""


def _tie(listener: Listener, cut: asyncio.Future[None]) -> None:
    """Let `cut` be done when the listener is cut."""
    listener.cut.add_done_callback(lambda _: None if cut.done() else cut.set_result(None))


async def _live(listener: Listener) -> AsyncGenerator[list[Line], None]:
    """Lines as they come; none when a heartbeat is due; the end when the listener is closed."""
    while True:
        lines = await listener.take(HEARTBEAT)
        if not lines and listener.closed:
            return
        yield lines


def _joined(lines: list[Line]) -> bytes:
    return b"".join(line.frame for line in lines) or ALIVE


def _filter(call: Call) -> Callable[[Change], bool]:
    states, tasks, queues, workers = (frozenset(call[name]) for name in ("status", "task", "queue", "worker"))

    def wants(change: Change) -> bool:
        return (
            (not states or change.state in states)
            and (not tasks or change.task in tasks)
            and (not queues or change.queue in queues)
            and (not workers or change.worker in workers)
        )

    return wants
