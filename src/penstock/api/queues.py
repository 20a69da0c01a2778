"""Queues: how full they are; pausing, emptying, and raw messages for programs that read them."""

from __future__ import annotations

import asyncio

from penstock.api import show
from penstock.api.answer import Answer, accepted, ok
from penstock.api.call import Call
from penstock.client import operations


async def listing(call: Call) -> Answer:
    """GET /queues: those that exist, and those that live workers take from."""
    backends = call.site.backends
    depths, workers = await asyncio.gather(operations.depths(backends), backends.results.workers.all())
    return ok({"items": show.queues(depths, workers), "next": None})


async def pause(call: Call) -> Answer:
    """POST /queues/{name}/pause."""
    await call.site.backends.broker.pause(call["name"], True)
    return ok({"name": call["name"], "paused": True})


async def resume(call: Call) -> Answer:
    """POST /queues/{name}/resume."""
    await call.site.backends.broker.pause(call["name"], False)
    return ok({"name": call["name"], "paused": False})


async def purge(call: Call) -> Answer:
    """POST /queues/{name}/purge."""
    return ok({"name": call["name"], "purged": await operations.purge(call.site.backends, call["name"])})


async def publish(call: Call) -> Answer:
    """POST /queues/{name}/messages."""
    body = await call.body()
    await operations.publish(call.site.backends, call["name"], body, priority=call["priority"])
    return accepted({"queue": call["name"], "size": len(body)})
