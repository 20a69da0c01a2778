"""Schedules: when each ran last and is due next, how the last run went; pausing, and running one now."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.api.answer import Answer
from penstock.dashboard.asking import at
from penstock.dashboard.visit import Visit

LOOKED_AT = 50  # schedules whose last run is looked at


async def page(visit: Visit) -> Answer:
    """GET /ui/schedules."""
    return visit.page("schedules.html", title="Schedules", schedules=await with_last_runs(visit))


async def with_last_runs(visit: Visit) -> list[dict[str, Any]]:
    """Every schedule, with the task that it queued last as `last`, None if that is not known."""
    entries = (await visit.get("/schedules"))["items"]
    runs = await asyncio.gather(*(_run(visit, entry["last_task_id"]) for entry in entries[:LOOKED_AT]))
    known = dict(enumerate(runs))
    return [{**entry, "last": known.get(place)} for place, entry in enumerate(entries)]


async def run(visit: Visit) -> Answer:
    """POST /ui/schedules/{name}/run."""
    return await visit.act("POST", at("schedules", visit.names["name"], "run"), "/schedules", "Queued as {task_id}.")


async def pause(visit: Visit) -> Answer:
    """POST /ui/schedules/{name}/pause."""
    return await _change(visit, True, "Schedule {name} is paused.")


async def resume(visit: Visit) -> Answer:
    """POST /ui/schedules/{name}/resume."""
    return await _change(visit, False, "Schedule {name} goes on.")


async def _change(visit: Visit, paused: bool, said: str) -> Answer:
    return await visit.act(
        "PATCH", at("schedules", visit.names["name"]), "/schedules", said, content={"paused": paused}
    )


async def _run(visit: Visit, task_id: str | None) -> dict[str, Any] | None:
    return await visit.task(task_id) if task_id else None
