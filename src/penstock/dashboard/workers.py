"""Workers: who is there, what each child runs and since when, and questions to them."""

from __future__ import annotations

from typing import Any

from penstock.api.answer import Answer
from penstock.dashboard import view
from penstock.dashboard.asking import Refused, at
from penstock.dashboard.visit import Visit


async def page(visit: Visit) -> Answer:
    """GET /ui/workers."""
    found = await visit.get("/workers")
    return visit.page("workers.html", title="Workers", workers=[_shown(each) for each in found["items"]])


async def ping(visit: Visit) -> Answer:
    """POST /ui/workers/{name}/ping."""
    return await visit.act("POST", _place(visit, "ping"), "/workers", "{worker} answers.")


async def shutdown(visit: Visit) -> Answer:
    """POST /ui/workers/{name}/shutdown."""
    said = "{worker} was told to end: it finishes what it can within its grace and hands the rest back."
    return await visit.act("POST", _place(visit, "shutdown"), "/workers", said)


async def stacks(visit: Visit) -> Answer:
    """POST /ui/workers/{name}/stacks."""
    name = visit.names["name"]
    try:
        found = await visit.ask("POST", _place(visit, "stacks"))
    except Refused as refusal:
        if refusal.status not in {404, 504}:
            raise
        return visit.to("/workers", said=f"{refusal.title}: {refusal.detail}", fault=True)
    answer = found["answer"]
    return visit.page(
        "stacks.html",
        title=f"Stacks of {view.clip(name, 60)}",
        name=name,
        stacks=_texts(answer),
        silent=answer.get("silent") if isinstance(answer, dict) else 0,
    )


def _place(visit: Visit, question: str) -> str:
    return at("workers", visit.names["name"], question)


def _texts(answer: Any) -> list[tuple[str, str]]:
    """The texts of an answer, each with the process it is of; another version's may look different."""
    children = answer.get("children") if isinstance(answer, dict) else None
    if not isinstance(children, dict):
        return [("Stacks", _text(answer))]
    return [(f"Process {pid}", _text(text)) for pid, text in children.items()]


def _text(given: Any) -> str:
    return view.clean(given if isinstance(given, str) else view.text_of(given, 2))


def _number(given: Any) -> bool:
    return isinstance(given, int | float)


def _shown(worker: dict[str, Any]) -> dict[str, Any]:
    """A worker with its report picked apart; a foreign one may report less."""
    status = worker["status"]
    children = [child for child in status.get("children", ()) if isinstance(child, dict)]
    running = [{**run, "pid": child.get("pid")} for child in children for run in child.get("running", ())]
    return {
        **worker,
        "children": children,
        "running": sorted(running, key=lambda run: run.get("started_at") or 0),
        "processed": status.get("processed"),
        "resident": sum(child.get("resident") or 0 for child in children),
        "cpu": sum(measured)
        if (measured := [child["cpu"] for child in children if _number(child.get("cpu"))])
        else None,
    }
