"""One task: how it stands, what happened to it, its values, and what can be done about it."""

from __future__ import annotations

import asyncio
from typing import Any

from penstock.api.answer import Answer
from penstock.core.states import ENDED, RETRYABLE
from penstock.dashboard import view
from penstock.dashboard.asking import Refused, at
from penstock.dashboard.visit import Visit

FAMILY = 20  # children whose state is shown
PARTS = ("args", "kwargs", "result", "traceback", "progress")
LINES = 100  # of the log, on the page
OUTPUT = "penstock.output"  # the logger of what is printed


async def page(visit: Visit) -> Answer:
    """GET /ui/tasks/{task}."""
    place = at("tasks", visit.names["task"])
    task, log = await asyncio.gather(visit.get(place), visit.get(f"{place}/logs", [("limit", str(LINES))]))
    children = await asyncio.gather(*(_child(visit, each) for each in task["children"][:FAMILY]))
    return visit.page(
        "task.html",
        title=view.clip(task["task"], 60),
        task=task,
        children=children,
        more_children=len(task["children"]) - len(children),
        ended=task["status"] in ENDED,
        retryable=task["status"] in RETRYABLE,
        values=[_value(name, task[name]) for name in ("args", "kwargs", "result") if _worth(task, name)],
        error=view.failure(task["result"]) if task["status"] not in {"SUCCESS", "PENDING"} else "",
        traceback=_text("traceback", task["traceback"]),
        fraction=_fraction(task["progress"]),
        log=view.clean(_log(log["items"])[-view.LONG * 4 :]),
    )


async def whole(visit: Visit) -> Answer:
    """GET /ui/tasks/{task}/{part}: a value in full, as plain text."""
    part = visit.names["part"]
    if part == "logs":
        lines = await visit.get(at("tasks", visit.names["task"], "logs"), [("limit", "10000")])
        return visit.plain(_log(lines["items"]))
    if part not in PARTS:
        raise Refused(404, {"title": "Not found", "detail": f"a task has no part {part!r}"})
    value = (await visit.get(at("tasks", visit.names["task"])))[part]
    return visit.plain(value if part == "traceback" and value else view.text_of(value, 2))


async def retry(visit: Visit) -> Answer:
    """POST /ui/tasks/{task}/retry."""
    place = at("tasks", visit.names["task"])
    return await visit.act("POST", f"{place}/retry", place, "It is queued again.")


async def cancel(visit: Visit) -> Answer:
    """POST /ui/tasks/{task}/cancel."""
    place = at("tasks", visit.names["task"])
    sent = dict(await visit.form())
    query = [("terminate", "true")] if sent.get("terminate") else []
    return await visit.act("DELETE", place, place, "Told to stop: it is {status} now.", query=query)


async def _child(visit: Visit, task_id: str) -> dict[str, Any]:
    return await visit.task(task_id) or {"task_id": task_id, "task": "", "status": ""}


def _log(lines: list[dict[str, Any]]) -> str:
    """The lines of a log as text."""
    return "\n".join(
        f"{line['at'][11:23]} {'' if line['logger'] == OUTPUT else line['level'] + ' '}{line['text']}" for line in lines
    )


def _worth(task: dict[str, Any], name: str) -> bool:
    """Whether there is something to show."""
    return task[name] is not None and not (name == "kwargs" and not task[name])


def _value(name: str, value: Any) -> dict[str, Any]:
    return _text(name, view.text_of(value, 2)) or {}


def _text(name: str, text: str | None) -> dict[str, Any] | None:
    """A text for the page: its beginning, and how long it is."""
    if not text:
        return None
    return {"name": name, "text": view.clean(text[: view.LONG]), "long": len(text) > view.LONG, "size": len(text)}


def _fraction(progress: Any) -> float | None:
    found = progress.get("fraction") if isinstance(progress, dict) else None
    return min(1.0, max(0.0, found)) if isinstance(found, int | float) else None
