"""The ASGI application: doors, then the route that the table has for the path, then the answer."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from starlette.routing import Mount, Router
from starlette.routing import Route as Path
from starlette.types import ASGIApp, Receive, Scope, Send

from penstock.api import problems
from penstock.api.answer import Answer, refused
from penstock.api.call import SLASH, Call
from penstock.api.doors import Doors, check_content, check_once
from penstock.api.keys import ANYONE, KeyRing, allow
from penstock.api.limit import Meter
from penstock.api.problems import Problem, problem_of
from penstock.api.route import SAFE, Route
from penstock.api.routes import ROUTES
from penstock.api.site import Site
from penstock.api.tally import NO_ROUTE, Tally
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.access import Rate
from penstock.core.settings import Settings

log = logging.getLogger("penstock.api")


class Resource:
    """One path of the API: an ASGI callable that serves its methods."""

    def __init__(self, site: Site, routes: Iterable[Route]) -> None:
        self.site = site
        self.routes: dict[str, Route] = {route.method: route for route in routes}
        self.numbers = {route.method: site.routes.index(route) for route in self.routes.values()}
        if "GET" in self.routes and not self.routes["GET"].streams:
            self.routes["HEAD"] = self.routes["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self.routes.get(scope["method"])
        if route is None:
            # of what can be a task's id or its name, a name can only be submitted
            is_task = self.site.tasks.has(scope.get("path_params", {}).get("task", "").replace(SLASH, "/"))
            allowed = "POST" if is_task and "POST" in self.routes else ", ".join(sorted(self.routes))
            headers = ((b"allow", allowed.encode()),)
            raise Problem(problems.METHOD_NOT_ALLOWED, f"allowed here: {allowed}", headers=headers)
        scope["penstock.route"] = self.numbers[route.method]
        answer = await self._answer(route, scope, receive)
        await answer(scope, receive, send)

    async def _answer(self, route: Route, scope: Scope, receive: Receive) -> Answer:
        head = dict(scope["headers"])
        key = ANYONE
        if route.scope != "none":
            key = scope.get("penstock.key") or self.site.keyring.holder(head)
            allow(key, route.scope)
            if self.site.meter is not None:
                scope["penstock.headers"] = self.site.meter.take(key.number)
        if not route.safe:
            check_content(route, head)
        return await route.handler(Call(self.site, route, scope, receive, key))


class Guarded:
    """A mounted application of the user's own, behind the same keys: `read` to look, `submit` to change."""

    def __init__(self, site: Site, app: ASGIApp) -> None:
        self.site = site
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = self.site.keyring.holder(dict(scope["headers"]))
        allow(key, "read" if scope["method"] in SAFE else "submit")
        await self.app(scope, receive, send)


class Application:
    """The whole of it. `drain` is for the server to call when it begins to shut down."""

    def __init__(self, site: Site, doors: Doors, mounts: Mapping[str, ASGIApp], process: int = 0) -> None:
        self.site = site
        self.process = process
        self.doors = doors
        resources = {path: Resource(site, routes) for path, routes in groupby(_ordered(site), lambda route: route.path)}
        # most requests go to a path without parameters, POST /tasks above all: they need no search through the routes
        self.direct = {path: resource for path, resource in resources.items() if "{" not in path}
        self.names = {path: _methods_of_name(path, resources) for path in self.direct}
        self.router = Router(
            [
                *(Path(path, resource) for path, resource in resources.items() if "{" in path),
                *(Mount(path, Guarded(site, app)) for path, app in mounts.items()),
            ],
            redirect_slashes=False,
            default=_nothing_here,
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        await self.site.open()
        try:
            yield
        finally:
            await self.site.close()

    def add_pages(self, path: str, pages: ASGIApp) -> None:
        """Serve `pages` at `path` and below, behind the doors; whom they let in is their own matter.

        They ask this application as anybody does, save that `scope["penstock.key"]` says on whose behalf.
        """
        self.router.routes[:0] = [Path(path, pages), Mount(path, pages)]
        self.site.home = path

    def drain(self) -> None:
        self.site.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.router(scope, receive, send)
            return
        sending = _Sending(self, scope, send)
        try:
            head = dict(scope["headers"])
            if len(head) < len(scope["headers"]):
                check_once(scope["headers"])
            self.doors.check(scope["method"], scope["path"], head)
            _keep_slashes(scope)
            path, method = scope["path"], scope["method"]
            resource = self.direct.get(path)
            if resource is not None and (method in resource.routes or method not in self.names[path]):
                await resource(scope, receive, sending)
            else:
                await self.router(scope, receive, sending)
        except Exception as error:  # the outermost: whatever it was, the client gets a problem and the log its story
            if sending.started:
                raise
            await refused(_told(error, scope))(scope, receive, sending)


@dataclass(frozen=True, slots=True)
class Shared:
    """Memory that the processes of one server have in common; to be made before they fork."""

    meter: Meter | None
    tally: Tally

    @classmethod
    def between(cls, processes: int, settings: Settings) -> Shared:
        """For so many processes."""
        rate, keys = Rate.parse(settings.api_rate_limit), KeyRing(settings.api_keys).keys
        return cls(Meter(rate, len(keys)) if rate else None, Tally(ROUTES, processes))


class _Sending:
    """`send`, which counts the answer when it begins, and adds the headers that were decided on the way."""

    __slots__ = ("application", "began", "scope", "send", "started")

    def __init__(self, application: Application, scope: Scope, send: Send) -> None:
        self.application = application
        self.scope = scope
        self.send = send
        self.started = False
        self.began = time.perf_counter()

    async def __call__(self, message: Any) -> None:
        if not self.started:
            self.started = True
            message["headers"] = [*message.get("headers", ()), *self.scope.get("penstock.headers", ())]
            seconds, route = time.perf_counter() - self.began, self.scope.get("penstock.route", NO_ROUTE)
            self.application.site.tally.count(self.application.process, route, message["status"], seconds)
        await self.send(message)


def create(
    app: Penstock, backends: Backends | None = None, *, bound: str = "", shared: Shared | None = None, process: int = 0
) -> Application:
    """The HTTP API of `app` as an ASGI application with a lifespan.

    `bound`: the address that the server listens on. `shared`: what this process, one of several by number, shares with
    the others.
    """
    settings = app.settings
    shared = shared or Shared.between(1, settings)
    site = Site(
        app,
        backends or app.backends(),
        ROUTES,
        KeyRing(settings.api_keys),
        meter=shared.meter,
        tally=shared.tally,
        clock=app.clock,
    )
    return Application(site, Doors(settings.allowed_hosts, bound), app.mounts, process)


def _ordered(site: Site) -> list[Route]:
    return sorted(site.routes, key=lambda route: route.path)


def _methods_of_name(path: str, resources: Mapping[str, Resource]) -> set[str]:
    """The methods that a path without parameters leaves to the name that it also is: GET /tasks/cancel is a task."""
    parts = path.split("/")
    found: set[str] = set()
    for template, resource in resources.items():
        others = template.split("/")
        same_length = len(parts) == len(others)
        if same_length and all(one == other or other[:1] == "{" for one, other in zip(parts, others, strict=True)):
            found |= resource.routes.keys()
    return found - resources[path].routes.keys()


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  (ASGI)
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000, "reason": ""})
        return
    raise Problem(problems.NOT_FOUND, "there is nothing at this address; /docs lists what there is")


def _keep_slashes(scope: Scope) -> None:
    """An escaped slash belongs to the name it stands in; ASGI's decoded path has lost the difference."""
    if SLASH in scope["path"]:
        raise Problem(problems.NOT_FOUND, "no name contains NUL")
    raw = scope.get("raw_path") or b""
    if "\ufffd" in scope["path"] and not _is_utf8(raw):
        raise Problem(problems.BAD_REQUEST, "the path is not UTF-8")
    if b"%2f" in raw.lower():
        parts = (unquote(part).replace("/", SLASH) for part in raw.decode("ascii").split("/"))
        scope["path"] = "/".join(parts)


def _is_utf8(raw: bytes) -> bool:
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return False
    return True


def _told(error: Exception, scope: Scope) -> Problem:
    problem = problem_of(error)
    if problem is not None:
        return problem
    log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
    return Problem(problems.INTERNAL, "an error that was not foreseen; the server's log has its story")
