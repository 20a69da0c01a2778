"""The list of tasks: by filter, newest first, a page at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.api.answer import Answer
from penstock.dashboard.asking import Refused
from penstock.dashboard.filters import STATES, TaskFilter
from penstock.dashboard.visit import Visit

SHOWN = 50  # tasks a page


async def page(visit: Visit) -> Answer:
    """GET /ui/tasks. A page on which nothing is found leads on by itself, unless it is told to `stay`."""
    which = TaskFilter.of(visit.query)
    cursor = visit.given("cursor")
    query = [*which.pairs, ("limit", str(SHOWN)), *([("cursor", cursor)] if cursor else [])]
    queues, workers = await asyncio.gather(visit.get("/queues"), visit.get("/workers"))
    fault: Refused | None = None
    found: dict[str, Any] = {"items": [], "next": None}
    try:
        found = await visit.get("/tasks", query)
    except Refused as refusal:
        if refusal.status != 400:
            raise
        fault = refusal
    older = [*which.pairs, ("cursor", found["next"])] if found["next"] else None
    return visit.page(
        "tasks.html",
        status=400 if fault else 200,
        title="Tasks",
        which=which,
        states=STATES,
        items=found["items"],
        older=older,
        further=older if not found["items"] and not visit.given("stay") else None,
        reached=found.get("reached"),
        cursor=cursor,
        fault=fault,
        queues=[each["name"] for each in queues["items"]],
        workers=[each["name"] for each in workers["items"]],
        names=names_of(workers),
    )


def names_of(workers: Any) -> list[str]:
    """The tasks that live workers have."""
    return sorted({name for each in workers["items"] for name in each["tasks"]})
