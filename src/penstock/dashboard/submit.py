"""Queueing a task by hand: a form made from its type hints, checked by the server; also editing and running again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from penstock.api.answer import Answer, Content
from penstock.dashboard.asking import Refused, at
from penstock.dashboard.fields import Field, Form, faults_by_field
from penstock.dashboard.visit import Visit

OPTIONS = (
    Field("queue", "text", False, "another queue than the task's own"),
    Field("priority", "integer", False, "0 to 9, higher is sooner"),
    Field("countdown", "number", False, "start in so many seconds"),
    Field("eta", "text", False, "start at this time, such as 2026-01-31T12:00:00Z"),
    Field("expires", "number", False, "do not start after so many seconds"),
    Field("time_limit", "number", False, "seconds after which it is stopped"),
)
#: For a task whose arguments are not known by name, or are given in another way.
RAW = (
    Field("args", "json", False, "a JSON array: arguments by position", default="[]"),
    Field("kwargs", "json", False, "a JSON object: arguments by name", default="{}"),
)


async def listing(visit: Visit) -> Answer:
    """GET /ui/submit."""
    described = await visit.get("/openapi.json")
    found = [
        (path.removeprefix("/tasks/"), each["post"])
        for path, each in described["paths"].items()
        if each.get("post", {}).get("tags") == ["Your tasks"]
    ]
    tasks = [(post["summary"].removeprefix("Queue "), place, _about(post)) for place, post in found]
    return visit.page("submit.html", title="Submit", tasks=tasks)


async def form(visit: Visit) -> Answer:
    """GET /ui/submit/{task}; with `?from=ID` filled in as that task was."""
    name = visit.names["task"]
    known = await _form(visit, name)
    filled: dict[str, str] = {}
    before = visit.given("from")
    if before:
        old = await visit.get(at("tasks", before))
        args, kwargs = old["args"] or [], old["kwargs"] or {}
        named = known.named(args, kwargs) if known else None
        if named is None:
            known, filled = None, {"args": json.dumps(args, indent=2), "kwargs": json.dumps(kwargs, indent=2)}
        elif known:
            filled = known.filled(named)
        filled = {f"arg.{key}": text for key, text in filled.items()} | {"opt.queue": old["queue"]}
    return _page(visit, name, known, filled, raw=known is None)


async def send(visit: Visit) -> Answer:
    """POST /ui/submit/{task}."""
    name = visit.names["task"]
    sent = dict(await visit.form())
    raw = "raw" in sent
    known = None if raw else await _form(visit, name)
    options = {field.name: sent[f"opt.{field.name}"].strip() for field in OPTIONS if sent.get(f"opt.{field.name}")}
    try:
        if known:
            found = await visit.ask("POST", at("tasks", name), list(options.items()), known.arguments(sent))
        else:
            found = await visit.ask("POST", "/tasks", content=_by_body(name, sent, options))
    except Refused as refusal:
        if refusal.status not in {400, 404, 409, 422}:
            raise
        return _page(visit, name, known, sent, raw=raw, refusal=refusal)
    return visit.to(at("tasks", found["task_id"]), said="It is queued.")


def _by_body(name: str, sent: Mapping[str, str], options: Mapping[str, str]) -> dict[str, Any]:
    """A submission with its arguments as they stand; what is no JSON goes as text, and is refused as one."""
    values = {field.name: field.value(sent[f"arg.{field.name}"]) for field in RAW if sent.get(f"arg.{field.name}")}
    kinds = {field.name: field for field in OPTIONS}
    return {"task": name, **values, **{key: kinds[key].value(text) for key, text in options.items()}}


def _page(
    visit: Visit, name: str, known: Form | None, filled: Mapping[str, str], *, raw: bool, refusal: Refused | None = None
) -> Content:
    fields = known.fields if known else list(RAW)
    names = [each.name for each in (*fields, *OPTIONS)]
    faults, others = faults_by_field(refusal.errors if refusal else [], names)
    return visit.page(
        "submit_task.html",
        status=422 if refusal else 200,
        title=f"Submit {name}",
        name=name,
        about=known.about if known else "",
        fields=fields,
        options=OPTIONS,
        raw=raw or known is None,
        filled=filled,
        faults=faults,
        others=others,
        refusal=refusal,
    )


async def _form(visit: Visit, name: str) -> Form | None:
    """The form of a task, from its operation in the API's description; None if there is none."""
    described = await visit.get("/openapi.json")
    operation = described["paths"].get(f"/tasks/{quote(name, safe='')}", {}).get("post", {})
    if operation.get("tags") != ["Your tasks"]:
        return None
    reference = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    components = described["components"]["schemas"]
    return Form(components[reference.rpartition("/")[2]], components)


def _about(post: Mapping[str, Any]) -> str:
    """What the task says of itself: the description begins with it."""
    first, _, rest = str(post.get("description", "")).partition("\n\n")
    return first if rest else ""
