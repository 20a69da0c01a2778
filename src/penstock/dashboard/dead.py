"""Dead letters: messages that nobody will run again by themselves. Looking at them, queueing or discarding them."""

from __future__ import annotations

from penstock.api.answer import Answer
from penstock.dashboard import view
from penstock.dashboard.asking import Refused, at
from penstock.dashboard.filters import moment
from penstock.dashboard.visit import Visit

SHOWN = 50  # letters a page
#: What can be done with many: the word in the path → what then has happened to them.
MANY = {"replay": "queued again", "discard": "thrown away"}


async def page(visit: Visit) -> Answer:
    """GET /ui/dead; with `?action=replay` or `?action=discard` it counts and asks."""
    which = _filter(visit.query)
    cursor = visit.given("cursor")
    query = [*which, ("limit", str(SHOWN)), *([("cursor", cursor)] if cursor else [])]
    found = await visit.get("/dead", query)
    action, matched = visit.given("action"), None
    if action in MANY and visit.may("operate"):
        matched = (await visit.ask("POST", f"/dead/{action}", [*which, ("dry_run", "true")]))["matched"]
    return visit.page(
        "dead.html",
        title="Dead letters",
        which=dict(which),
        letters=found["items"],
        following=found["next"],
        cursor=cursor,
        action=action,
        matched=matched,
        as_of=moment(visit.now),
    )


async def letter(visit: Visit) -> Answer:
    """GET /ui/dead/{letter}."""
    found = await visit.get(at("dead", visit.names["letter"]))
    body = found["body"]
    return visit.page(
        "letter.html",
        title="Dead letter",
        letter=found,
        body=view.clean(body[: view.LONG]),
        long=len(body) > view.LONG,
    )


async def body(visit: Visit) -> Answer:
    """GET /ui/dead/{letter}/body: in full, as plain text."""
    return visit.plain((await visit.get(at("dead", visit.names["letter"])))["body"])


async def replay(visit: Visit) -> Answer:
    """POST /ui/dead/{letter}/replay: one, or `-` for all that match the filter in the form."""
    if visit.names["letter"] == "-":
        return await _all(visit, "replay")
    place = at("dead", visit.names["letter"])
    return await visit.act("POST", f"{place}/replay", "/dead", "Queued again in {queue}.")


async def discard(visit: Visit) -> Answer:
    """POST /ui/dead/{letter}/discard: as `replay`."""
    if visit.names["letter"] == "-":
        return await _all(visit, "discard")
    return await visit.act("DELETE", at("dead", visit.names["letter"]), "/dead", "Thrown away.")


async def _all(visit: Visit, action: str) -> Answer:
    sent = await visit.form()
    which = _filter(sent)
    query = [*which, ("all", "true"), *((name, dict(sent).get(name, "")) for name in ("expect", "as_of"))]
    try:
        found = await visit.ask("POST", f"/dead/{action}", query)
    except Refused as refusal:
        if refusal.status != 409:
            raise
        return visit.to("/dead", [*which, ("action", action)], said=refusal.detail, fault=True)
    said = f"{found['done']} of {found['matched']} letters {MANY[action]}."
    return visit.to("/dead", which, said=said)


def _filter(query: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value.strip()) for name, value in query if name in {"queue", "reason"} and value.strip()]
