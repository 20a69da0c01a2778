"""Getting in: once an API key, then a session cookie that stands for it, and holds no secret."""

from __future__ import annotations

from urllib.parse import urlencode

from penstock.api.answer import Answer, Nothing
from penstock.api.problems import Problem
from penstock.api.route import SAFE
from penstock.dashboard.asking import Refused
from penstock.dashboard.visit import UI, Visit

COOKIE = "penstock-session"


def needed(visit: Visit) -> Answer:
    """The answer to a visitor without a session."""
    if visit.path == "/live" or visit.method not in SAFE:
        raise Refused(401, {"title": "Sign in again", "detail": "the session is over; nothing was done"})
    query = visit.scope["query_string"].decode("latin-1")
    wanted = visit.path.replace("\0", "%2F") + (f"?{query}" if query else "")
    return Nothing(303, [(b"location", f"{UI}/login?{urlencode({'next': wanted})}".encode())])


async def form(visit: Visit) -> Answer:
    """GET /ui/login."""
    return visit.page("login.html", wanted=visit.given("next"), fault="")


async def enter(visit: Visit) -> Answer:
    """POST /ui/login."""
    sent = dict(await visit.form())
    wanted = sent.get("next", "")
    try:
        key = visit.site.keyring.holder({b"x-api-key": sent.get("key", "").strip().encode()})
    except Problem:
        return visit.page("login.html", 401, wanted=wanted, fault="This API key is not known.")
    if "read" not in key.scopes:
        fault = "This API key may not look at anything: the dashboard needs the scope “read”."
        return visit.page("login.html", 403, wanted=wanted, fault=fault)
    visit.sign_in(COOKIE, key)
    # a path below /ui, and nothing that a browser could take for another host
    path, _, query = wanted.partition("?")
    led = visit.to("")
    safe = path.startswith("/") and path.isascii() and path.isprintable() and query.isascii() and query.isprintable()
    location = UI + path + (f"?{query}" if query else "") if safe else UI
    led.headers = [(name, location.encode() if name == b"location" else value) for name, value in led.headers]
    return led


async def leave(visit: Visit) -> Answer:
    """POST /ui/logout."""
    visit.set_cookie(COOKIE, "", 0)
    return visit.to("/login")
