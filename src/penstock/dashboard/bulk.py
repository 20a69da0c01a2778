"""Everything that matches a filter at once: first how many that are, then exactly so many.

Counting many takes its time. A page counts for a moment, then leads on to the next, which counts on from there; the
last one has the button that does it, with the exact number and the time when the count began.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.api.answer import Answer
from penstock.dashboard.asking import Refused
from penstock.dashboard.filters import TaskFilter, moment
from penstock.dashboard.visit import Visit

SAMPLE = 10  # tasks that the preview shows
MOST = 1_000_000  # that the API counts, and this does


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
    """GET /ui/bulk/{action}: how many match, and which are the first. With a cursor it counts on from there."""
    action = _action(visit)
    which = _narrowed(TaskFilter.of(visit.query), action).upto(visit.now)
    return await _asked(visit, action, which, visit.given("cursor"))


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
        return visit.to(f"/bulk/{action.name}", which.pairs, said=f"{said} Go on with the rest:")
    return visit.to("/tasks", which.but(status=[], until=[]).pairs, said=said)


async def _asked(visit: Visit, action: Action, which: TaskFilter, cursor: str = "", fault: str = "") -> Answer:
    """The page that counts and asks."""
    before, as_of = _counted(visit) if cursor else (0, moment(visit.now))
    counted: dict[str, Any] = {"matched": 0}
    sample: dict[str, Any] = {"items": []}
    if which.values("status"):
        how = [("dry_run", "true"), ("quick", "true"), *([("cursor", cursor)] if cursor else [])]
        counted = await visit.ask("POST", action.path, [*which.pairs, *action.query, *how])
    matched, following = min(MOST, before + counted["matched"]), counted.get("next")
    if matched == MOST:
        following = None
    if matched and not following:
        sample = await visit.get("/tasks", [*which.pairs, ("limit", str(SAMPLE))])
    so_far = [("counted", str(matched)), ("as_of", as_of), ("cursor", following)]
    return visit.page(
        "bulk.html",
        status=409 if fault else 200,
        title=f"{action.verb}: how many?",
        action=action,
        which=which,
        matched=matched,
        further=[*which.pairs, *so_far] if following else None,
        reached=counted.get("reached"),
        items=sample["items"],
        fault=fault,
        as_of=as_of,
    )


def _counted(visit: Visit) -> tuple[int, str]:
    """What the pages before have counted, and when the first of them began."""
    number = visit.given("counted")
    return int(number) if number.isdecimal() and len(number) <= len(str(MOST)) else 0, visit.given("as_of")


def _action(visit: Visit) -> Action:
    name = visit.names["action"]
    if name not in ACTIONS:
        raise Refused(404, {"title": "Not found", "detail": f"there is no action {name!r}"})
    return ACTIONS[name]


def _narrowed(which: TaskFilter, action: Action) -> TaskFilter:
    """Only those states that the action is for. None may be left: then nothing matches."""
    wanted = which.values("status") or action.states
    return which.but(status=[state for state in action.states if state in wanted])
