"""The dashboard as a part of the server: which page is where, who may see it, and what is said of errors.

Each request to /ui comes through the API's doors first (Host, Origin). Here it is asked for its session, if keys are
needed at all; then its page asks the API on behalf of the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from penstock.api import application as api
from penstock.api.answer import Answer
from penstock.api.application import Application, Shared
from penstock.api.keys import ANYONE, Key
from penstock.api.route import SAFE
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.dashboard import (
    bulk,
    dead,
    login,
    overview,
    queues,
    schedules,
    statics,
    submit,
    task,
    tasks,
    workers,
)
from penstock.dashboard.asking import Refused
from penstock.dashboard.visit import UI, Handler, Visit, live

#: Pages that anybody may have: how to get in, and what pages look like.
OPEN: Mapping[tuple[str, str], Handler] = {
    ("GET", "/login"): login.form,
    ("POST", "/login"): login.enter,
    ("POST", "/logout"): login.leave,
    ("GET", "/static/{name}"): statics.get,
}
PAGES: Mapping[tuple[str, str], Handler] = {
    ("GET", ""): overview.page,
    ("GET", "/live"): live,
    ("GET", "/tasks"): tasks.page,
    ("GET", "/tasks/{task}"): task.page,
    ("GET", "/tasks/{task}/{part}"): task.whole,
    ("POST", "/tasks/{task}/retry"): task.retry,
    ("POST", "/tasks/{task}/cancel"): task.cancel,
    ("GET", "/bulk/{action}"): bulk.preview,
    ("POST", "/bulk/{action}"): bulk.act,
    ("GET", "/queues"): queues.page,
    ("POST", "/queues/{name}/pause"): queues.pause,
    ("POST", "/queues/{name}/resume"): queues.resume,
    ("POST", "/queues/{name}/purge"): queues.purge,
    ("GET", "/workers"): workers.page,
    ("POST", "/workers/{name}/ping"): workers.ping,
    ("POST", "/workers/{name}/stacks"): workers.stacks,
    ("POST", "/workers/{name}/shutdown"): workers.shutdown,
    ("GET", "/schedules"): schedules.page,
    ("POST", "/schedules/{name}/run"): schedules.run,
    ("POST", "/schedules/{name}/pause"): schedules.pause,
    ("POST", "/schedules/{name}/resume"): schedules.resume,
    ("GET", "/dead"): dead.page,
    ("GET", "/dead/{letter}"): dead.letter,
    ("GET", "/dead/{letter}/body"): dead.body,
    ("POST", "/dead/{letter}/replay"): dead.replay,
    ("POST", "/dead/{letter}/discard"): dead.discard,
    ("GET", "/submit"): submit.listing,
    ("GET", "/submit/{task}"): submit.form,
    ("POST", "/submit/{task}"): submit.send,
}


def create(
    app: Penstock, backends: Backends | None = None, *, bound: str = "", shared: Shared | None = None, process: int = 0
) -> Application:
    """The HTTP API of `app` with the dashboard: as penstock.api.application.create, which says more."""
    application = api.create(app, backends, bound=bound, shared=shared, process=process)
    application.add_pages(UI, Dashboard(application))
    return application


class Dashboard:
    """An ASGI application for everything at /ui and below."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.open = [_compiled(*place, handler) for place, handler in OPEN.items()]
        self.pages = [_compiled(*place, handler) for place, handler in PAGES.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit(self.application, scope, receive)
        try:
            answer = await self._answer(visit)
        except Refused as refusal:
            answer = visit.refused(refusal)
        await answer(scope, receive, send)

    async def _answer(self, visit: Visit) -> Answer:
        _check_origin(visit)
        found = _found(self.open, visit)
        if found is not None:
            return await found(visit)
        key = self._key(visit)
        if key is None:
            return login.needed(visit)
        visit.key = key
        found = _found(self.pages, visit)
        if found is None:
            raise Refused(404, {"title": "Not found", "detail": "there is no page at this address"})
        return await found(visit)

    def _key(self, visit: Visit) -> Key | None:
        ring = self.application.site.keyring
        if not ring.keys:
            return ANYONE
        return ring.holder_of_session(visit.cookies.get(login.COOKIE, ""), visit.now)


def _check_origin(visit: Visit) -> None:
    """A form comes from a page of ours, and its browser says so; the doors have turned away those from elsewhere."""
    said = b"origin" in visit.head or visit.head.get(b"sec-fetch-site") == b"same-origin"
    if visit.method not in SAFE and not said:
        detail = "the request does not say which page it comes from; programs use the API, see /docs"
        raise Refused(403, {"title": "Requests from other web sites are refused", "detail": detail})


def _compiled(method: str, path: str, handler: Handler) -> tuple[str, re.Pattern[str], Handler]:
    return method, re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path) + "/?"), handler


def _found(places: list[tuple[str, re.Pattern[str], Handler]], visit: Visit) -> Handler | None:
    method = "GET" if visit.method == "HEAD" else visit.method
    for wanted, pattern, handler in places:
        match = pattern.fullmatch(visit.path) if wanted == method else None
        if match:
            visit.names = visit.read_names(match.groupdict())
            return handler
    return None
