"""Everything that matches a filter at once: first how many that are, then exactly so many.

Counting many takes its time. The page first tells what is seen at a glance, without the button that does it, and leads
on to the same page with the exact number, which the button carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.api.answer import Answer
from penstock.dashboard.asking import Refused
from penstock.dashboard.filters import TaskFilter, moment
from penstock.dashboard.visit import Visit

SAMPLE = 10  # tasks that the preview shows
COUNTED = ("counted", "true")  # of the page with the exact number


@dataclass(frozen=True)
class Action:
    """What can be done with many tasks."""

    name: str
    path: str
    states: tuple[str, ...]  #: only tasks in one of these
    verb: str
    done: str
    query: tuple[tuple[str, str], ...] = ()


ACTIONS = {
    each.name: each
    for each in (
        Action("retry", "/tasks/retry", ("FAILURE", "REVOKED"), "Run again", "queued again"),
        Action("cancel", "/tasks/cancel", ("PENDING", "RECEIVED", "RETRY"), "Cancel", "cancelled"),
        Action(
            "terminate", "/tasks/cancel", ("STARTED",), "Stop", "told to stop", (("terminate", "true"),)
        ),
    )
}  # fmt: skip


async def preview(visit: Visit) -> Answer:
    """GET /ui/bulk/{action}: how many match, and which are the first."""
    action = _action(visit)
    which = _narrowed(TaskFilter.of(visit.query), action).upto(visit.now)
    return await _asked(visit, action, which, quick=not visit.given("counted"))


async def act(visit: Visit) -> Answer:
    """POST /ui/bulk/{action}: deal with those that the preview counted, or with none."""
    action = _action(visit)
    sent = await visit.form()
    which = _narrowed(TaskFilter.of(sent), action)
    query = [*which.pairs, *action.query, *((name, dict(sent).get(name, "")) for name in ("expect", "as_of"))]
    try:
        found = await visit.ask("POST", action.path, query)
    except Refused as refusal:
        if refusal.status != 409:
            raise
        return await _asked(visit, action, which, fault=refusal.detail)
    said = f"{found['done']} of {found['matched']} tasks {action.done}."
    if found["left"] and found["done"]:
        return visit.to(f"/bulk/{action.name}", [*which.pairs, COUNTED], said=f"{said} Go on with the rest:")
    return visit.to("/tasks", which.but(status=[], until=[]).pairs, said=said)


async def _asked(visit: Visit, action: Action, which: TaskFilter, *, quick: bool = False, fault: str = "") -> Answer:
    """The page that counts and asks."""
    counted: dict[str, Any] = {"matched": 0}
    sample: dict[str, Any] = {"items": []}
    if which.values("status"):
        how = [("dry_run", "true"), *([("quick", "true")] if quick else [])]
        counted = await visit.ask("POST", action.path, [*which.pairs, *action.query, *how])
        sample = await visit.get("/tasks", [*which.pairs, ("limit", str(SAMPLE))])
    return visit.page(
        "bulk.html",
        status=409 if fault else 200,
        title=f"{action.verb}: how many?",
        action=action,
        which=which,
        matched=counted["matched"],
        exact=[*which.pairs, COUNTED] if counted.get("more") else None,
        items=sample["items"],
        fault=fault,
        as_of=moment(visit.now),
    )


def _action(visit: Visit) -> Action:
    name = visit.names["action"]
    if name not in ACTIONS:
        raise Refused(404, {"title": "Not found", "detail": f"there is no action {name!r}"})
    return ACTIONS[name]


def _narrowed(which: TaskFilter, action: Action) -> TaskFilter:
    """Only those states that the action is for. None may be left: then nothing matches."""
    wanted = which.values("status") or action.states
    return which.but(status=[state for state in action.states if state in wanted])
