"""Penstock in a FastAPI application: its HTTP API under a path, its connections in step with the lifespan.

    api = FastAPI()
    install(api, queue, "/queue")

    @api.post("/orders", status_code=202)
    async def order(number: int, queue: Queue) -> dict[str, str]:
        return {"task_id": (await queue.asend_task("ship", [number])).id}

What stands here works with Starlette's applications as well, but for `Queue`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.api import problems
from penstock.api.answer import refused
from penstock.api.application import Application, create
from penstock.api.listen import is_loopback
from penstock.api.problems import Problem
from penstock.client.app import Penstock
from penstock.core.errors import ConfigurationError

try:
    from fastapi import Depends, FastAPI
except ModuleNotFoundError as error:
    if error.name != "fastapi":
        raise
    raise ConfigurationError("FastAPI is not installed: pip install 'penstock[fastapi]'") from error


def install(api: FastAPI, app: Penstock, path: str | None = None, *, insecure: bool = False) -> None:
    """Open and close `app` with the application; with a `path` serve its HTTP API there.

    Without API keys only what was asked on a loopback address is answered, unless `insecure`. Raises
    ConfigurationError for a path that is not like /queue, and for faulty keys.
    """
    if path is not None and (not path.startswith("/") or path.endswith("/")):
        raise ConfigurationError(f"path {path!r}: expected one like /queue")
    application = create(app)
    api.state.penstock = app
    if path is not None:
        guarded = not (insecure or app.settings.insecure or app.settings.api_keys)
        api.mount(path, _Below(application, guarded=guarded))
    before = api.router.lifespan_context

    @asynccontextmanager
    async def lifespan(outer: Any) -> AsyncIterator[Any]:
        async with _opened(application, app), before(outer) as state:
            yield state

    api.router.lifespan_context = lifespan


def penstock(connection: HTTPConnection) -> Penstock:
    """The Penstock that was installed in the application which serves this request."""
    found: Penstock = connection.app.state.penstock
    return found


#: The type of a path operation's argument that is the installed Penstock.
Queue = Annotated[Penstock, Depends(penstock)]


@asynccontextmanager
async def _opened(application: Application, app: Penstock) -> AsyncIterator[None]:
    """One connection for the API's requests and for the application's own submissions."""
    await application.site.open()
    app.portal.attach(application.site.submitter)
    try:
        yield
    finally:
        await app.aclose()
        await application.site.close()


class _Below:
    """The API below a path: it sees its own paths, and its answers lead to them as they are seen from outside."""

    def __init__(self, application: ASGIApp, *, guarded: bool) -> None:
        self.application = application
        self.guarded = guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.guarded and scope["type"] == "http" and not is_loopback((scope.get("server") or ("",))[0]):
            detail = "no API keys: set PENSTOCK_API_KEYS, or say install(…, insecure=True) if everybody may come in"
            await refused(Problem(problems.FORBIDDEN, detail))(scope, receive, send)
            return
        root = scope.get("root_path", "")
        inner = {**scope, "path": scope["path"].removeprefix(root) or "/", "root_path": ""}
        raw = scope.get("raw_path")
        if raw is not None:
            inner["raw_path"] = raw.removeprefix(root.encode()) or b"/"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [_outside(header, root.encode()) for header in message.get("headers", ())]
            await send(message)

        await self.application(inner, receive, sending)


def _outside(header: tuple[bytes, bytes], root: bytes) -> tuple[bytes, bytes]:
    name, value = header
    return (name, root + value) if name.lower() == b"location" and value.startswith(b"/") else header
