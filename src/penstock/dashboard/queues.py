"""Queues: how full they are, since when, who takes from them; pausing and emptying them."""

from __future__ import annotations

import asyncio

from penstock.api.answer import Answer
from penstock.dashboard import charts
from penstock.dashboard.asking import at
from penstock.dashboard.visit import Visit


async def page(visit: Visit) -> Answer:
    """GET /ui/queues."""
    span = charts.span(visit.given("span"))
    only = visit.given("queue")
    found, stats = await asyncio.gather(visit.get("/queues"), visit.get("/stats", [("span", span)]))
    return visit.page(
        "queues.html",
        title="Queues",
        queues=found["items"],
        spans=charts.SPANS,
        span=span,
        only=only,
        charts=[charts.depths(stats, only), charts.depths(stats, only, ages=True)],
    )


async def pause(visit: Visit) -> Answer:
    """POST /ui/queues/{name}/pause."""
    return await _act(visit, "pause", "Queue {name} is paused: workers finish what they have and take nothing more.")


async def resume(visit: Visit) -> Answer:
    """POST /ui/queues/{name}/resume."""
    return await _act(visit, "resume", "Queue {name} is delivered again.")


async def purge(visit: Visit) -> Answer:
    """POST /ui/queues/{name}/purge."""
    return await _act(visit, "purge", "Queue {name}: {purged} waiting messages removed.")


async def _act(visit: Visit, action: str, said: str) -> Answer:
    return await visit.act("POST", at("queues", visit.names["name"]) + f"/{action}", "/queues", said)
