"""The overview: what is wrong now, and how things go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from penstock.api.answer import Answer
from penstock.dashboard import charts, schedules, view
from penstock.dashboard.asking import at
from penstock.dashboard.visit import UI, Visit

OLD = 60.0  # seconds after which the oldest message of a queue has waited long
LATE = 60.0  # seconds after which a schedule is overdue
SHOWN = 8  # tasks in each short list


@dataclass(frozen=True)
class Trouble:
    """One thing that somebody has to look at."""

    text: str
    href: str
    grave: bool = True


async def page(visit: Visit) -> Answer:
    """GET /ui."""
    span = charts.span(visit.given("span"))
    queues, workers, planned, dead, running, failed, stats = await asyncio.gather(
        visit.get("/queues"),
        visit.get("/workers"),
        schedules.with_last_runs(visit),
        visit.get("/dead", [("limit", "100")]),
        visit.get("/tasks", [("status", "STARTED"), ("limit", str(SHOWN))]),
        visit.get("/tasks", [("status", "FAILURE"), ("limit", str(SHOWN))]),
        visit.get("/stats", [("span", span)]),
    )
    troubles = [
        *_of_queues(queues["items"], workers["items"], visit.now),
        *_of_schedules(planned, visit.now),
        *_of_letters(dead),
    ]
    return visit.page(
        "overview.html",
        title="Overview",
        troubles=troubles,
        queues=queues["items"],
        workers=workers["items"],
        running=running["items"],
        failed=failed["items"],
        waiting=sum(each["ready"] for each in queues["items"]),
        delayed=sum(each["delayed"] for each in queues["items"]),
        claimed=sum(each["claimed"] for each in queues["items"]),
        spans=charts.SPANS,
        span=span,
        whole=stats["whole"],
        charts=[charts.ended(stats), charts.run_times(stats), charts.depths(stats), charts.depths(stats, ages=True)],
    )


def _of_queues(queues: list[dict[str, Any]], workers: list[Any], now: float) -> list[Trouble]:
    found = []
    href = f"{UI}/queues"
    if not workers and any(each["ready"] for each in queues):
        found.append(Trouble("No worker is there, and tasks wait.", f"{UI}/workers"))
    for each in queues:
        name, waits = view.clip(each["name"], 60), f"{view.count(each['ready'])} waiting"
        age = view.seconds_since(each["oldest"], now) or 0.0
        if not each["ready"]:
            continue
        if each["paused"]:
            found.append(Trouble(f"Queue {name} is paused, {waits}.", href, grave=False))
        elif not each["workers"] and workers:
            found.append(Trouble(f"No worker takes from queue {name}, {waits}.", href))
        elif each["workers"] and age > OLD:
            how = "is behind" if each["claimed"] else "stands still"
            found.append(Trouble(f"Queue {name} {how}: the oldest of {waits} is {view.duration(age)} old.", href))
    return found


def _of_schedules(planned: list[dict[str, Any]], now: float) -> list[Trouble]:
    found = []
    for each in planned:
        name, href = view.clip(each["name"], 60), f"{UI}/schedules"
        late = view.seconds_since(each["next_due"], now) or 0.0
        if not each["paused"] and late > LATE:
            found.append(Trouble(f"Schedule {name} is overdue by {view.duration(late)}: no scheduler runs it.", href))
        last = each["last"]
        if last and last["status"] == "FAILURE":
            text = f"Schedule {name} failed: {view.failure(last['result'])}"
            found.append(Trouble(text, UI + at("tasks", last["task_id"])))
    return found


def _of_letters(dead: dict[str, Any]) -> list[Trouble]:
    number = len(dead["items"])
    if not number:
        return []
    words = f"More than {number} dead letters" if dead["next"] else f"{number} dead letter{'s' * (number != 1)}"
    return [Trouble(f"{words}, the last in queue {view.clip(dead['items'][0]['queue'], 60)}.", f"{UI}/dead")]
