"""Looking at tasks, cancelling and retrying them: one by id, many by filter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from penstock.api import show
from penstock.api.answer import Answer, Content, accepted, encode, ok
from penstock.api.call import Call
from penstock.client import operations
from penstock.client.backends import Backends
from penstock.core.errors import Conflict, NotFound
from penstock.core.record import Filter, Page, Record, Tally
from penstock.core.states import PENDING, RETRYABLE, UNENDED
from penstock.core.step import commit

MOST = 10_000  # tasks that one call deals with
AT_ONCE = 500  # of them side by side: a worker that is silent is waited for once each time


#: Does something to some tasks; how many it was done to.
_Some = Callable[[Backends, list[str]], Awaitable[int]]


async def get(call: Call) -> Answer:
    """GET /tasks/{task}."""
    task_id = call["task"]
    found = await call.site.backends.results.records.get([task_id])
    if task_id not in found:
        raise NotFound(f"there is no task {task_id!r}")
    return ok(show.task(found[task_id]))


async def logs(call: Call) -> Answer:
    """GET /tasks/{task}/logs."""
    results, task_id = call.site.backends.results, call["task"]
    known, pieces = await commit(results.records.check([task_id]), results.logs.of_task(task_id))
    if task_id not in known:
        raise NotFound(f"there is no task {task_id!r}")
    return ok({"items": show.log_lines(pieces)[-call["limit"] :], "next": None})


async def page(call: Call) -> Answer:
    """GET /tasks."""
    which = filter_of(call)
    found = await call.site.backends.results.records.page(which, call["limit"], call["cursor"])
    return ok({"items": [show.task_item(record) for record in found.items], "next": found.next, **_reached(found)})


def _reached(found: Page | Tally) -> dict[str, Any]:
    """How far back it was looked, if that is not the end."""
    return {} if found.reached is None else {"reached": show.moment(found.reached)}


async def cancel(call: Call) -> Answer:
    """DELETE /tasks/{task}."""
    done = await operations.cancel(call.site.backends, call["task"], terminate=call["terminate"])
    return Content(200 if done.outcome == "revoked" else 202, encode(show.task(done.record)))


async def retry(call: Call) -> Answer:
    """POST /tasks/{task}/retry."""
    record = await operations.retry(call.site.backends, call["task"])
    location = b"/tasks/" + quote(record.task_id, safe="").encode()
    return accepted({"task_id": record.task_id, "status": PENDING}, [(b"location", location)])


async def cancel_many(call: Call) -> Answer:
    """POST /tasks/cancel."""

    async def some(backends: Backends, task_ids: list[str]) -> int:
        outcomes = await operations.cancel_many(backends, task_ids, terminate=call["terminate"])
        return sum(isinstance(each, operations.Cancelled) for each in outcomes)

    return await _for_each(call, UNENDED, some)


async def retry_many(call: Call) -> Answer:
    """POST /tasks/retry."""

    async def one(backends: Backends, task_id: str) -> bool:
        try:
            await operations.retry(backends, task_id)
        except (Conflict, NotFound):
            return False
        return True

    async def some(backends: Backends, task_ids: list[str]) -> int:
        # side by side, so that the driver commits them together
        return sum(await asyncio.gather(*(one(backends, task_id) for task_id in task_ids)))

    return await _for_each(call, RETRYABLE, some)


def filter_of(call: Call) -> Filter:
    """The filter that the query parameters are."""
    return Filter(
        states=tuple(call["status"]),
        tasks=tuple(call["task"]),
        queues=tuple(call["queue"]),
        workers=tuple(call["worker"]),
        text=call["q"] or "",
        since=call["since"],
        until=call["until"],
    )


async def _for_each(call: Call, states: frozenset[str], some: _Some) -> Answer:
    """Deal with those of the matching tasks whose state allows it; what changes meanwhile is passed over."""
    which = filter_of(call)
    # everything is meant only if that is said
    dry_run = call["dry_run"] or (which == Filter() and not call["all"])
    wanted = [state for state in sorted(states) if not which.states or state in which.states]
    if not wanted:
        expected(call, 0)
        return ok({"matched": 0, "done": 0, "left": 0, "dry_run": dry_run})
    backends, narrowed = call.site.backends, replace(which, states=wanted)
    if dry_run and call["quick"]:
        return await _counted(call, narrowed)
    matched = await operations.count(backends, narrowed)
    expected(call, matched)
    done = 0 if dry_run else await _work_through(backends, narrowed, some, call["as_of"])
    left = max(0, matched - done)
    return ok({"matched": matched, "done": done, "left": left, "dry_run": dry_run})


async def _counted(call: Call, which: Filter) -> Answer:
    """How many match, as far as a moment goes."""
    found = await operations.count_on(call.site.backends, which, call["cursor"], operations.MOMENT)
    number = found.number
    return ok({"matched": number, "done": 0, "left": number, "next": found.next, **_reached(found), "dry_run": True})


def expected(call: Call, matched: int) -> None:
    """Raise Conflict if the caller has counted another number of matches."""
    if call["expect"] is not None and call["expect"] != matched:
        raise Conflict(f"{matched} match now, not {call['expect']}; nothing was done")


async def _work_through(backends: Backends, which: Filter, some: _Some, as_of: float | None) -> int:
    done, seen, cursor = 0, 0, None
    while seen < MOST:
        found = await backends.results.records.page(which, min(AT_ONCE, MOST - seen), cursor)
        done += await some(
            backends, [each.task_id for each in found.items if as_of is None or _stands_since(each) < as_of]
        )
        seen += len(found.items)
        cursor = found.next
        if cursor is None:
            break
    return done


def _stands_since(record: Record) -> float:
    """When a task came into the state that it is in."""
    ended = [attempt.finished_at for attempt in record.attempts if attempt.finished_at is not None]
    return max(record.created_at, record.started_at or 0.0, record.finished_at or 0.0, *ended)
