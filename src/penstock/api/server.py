"""The server: the application on uvicorn, in one process or in several that share a port.

The address is bound first, so that a port in use is told before anything starts. With several processes a supervisor
forks them and replaces one that dies; with one there is none. At SIGTERM requests in flight finish, streams end and
waits are answered; a second SIGINT ends at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import uvicorn

from penstock.api.application import Application, Shared, create
from penstock.api.http1 import Protocol
from penstock.api.listen import check_exposure, inherited, listen, url
from penstock.api.processes import Processes
from penstock.client.backends import require_shared
from penstock.client.loader import load_app

log = logging.getLogger("penstock.api")

KEEP_ALIVE = 75  # seconds that an idle connection is kept, longer than proxies keep theirs


@dataclass(frozen=True, slots=True)
class Serving:
    """What is served: how the application is made, and what is there for people, with its path."""

    build: Callable[..., Application]
    pages: Mapping[str, str]


API = Serving(create, {"documentation": "/docs"})


class Server(uvicorn.Server):
    """uvicorn's server: the back ends open before the port does, and streams end before connections are waited for."""

    def __init__(self, application: Application, ready: Callable[[], None]) -> None:
        self.application = application
        self.ready = ready
        grace = application.site.settings.grace
        super().__init__(
            uvicorn.Config(
                application,
                loop="uvloop",
                http=Protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=2048,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=max(1, round(grace)),
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self.application.site.open()
        await super().startup(sockets)
        if not self.should_exit:
            self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.application.drain()
        await super().shutdown(sockets)


def run(
    app_path: str,
    *,
    host: str | None = None,
    port: int | None = None,
    processes: int = 1,
    insecure: bool = False,
    descriptor: int | None = None,
    say: Callable[[str], None] = log.info,
    serving: Serving = API,
) -> int:
    """Serve an app until SIGTERM or SIGINT; return the exit code.

    `host` and `port` default to the settings'. `descriptor`: a bound socket that was handed down, used instead of them.
    `say` is told where the server is to be found once it is ready. `serving`: what is made of the app.
    Raises ConfigurationError for what cannot be served or listened on, and StorageError for an unusable database.
    """
    app = load_app(app_path)
    settings = app.settings
    require_shared(settings)
    sockets = _sockets(host or settings.host, settings.port if port is None else port, processes, descriptor)
    bound = sockets[0].getsockname()[0]
    check_exposure(bound, settings, insecure=insecure)
    shared = Shared.between(len(sockets), settings)

    def ready() -> None:
        there = ", ".join(f"{what}: {url(sockets)}{path}" for what, path in serving.pages.items())
        say(f"API on {url(sockets)} ({there})")
        say(f"messages and records in {app.backends().urls}")

    def serve(process: int, started: Callable[[], None]) -> None:
        _serve(serving.build(app, bound=bound, shared=shared, process=process), sockets[process], started)

    if len(sockets) == 1:
        serve(0, ready)
        return 0
    return Processes(sockets, serve, ready).run()


def _serve(application: Application, listener: socket.socket, started: Callable[[], None]) -> None:
    """One process's server, until a signal; returns when everything is closed."""
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what went wrong stands in our own log
    server = Server(application, started)
    for number in (signal.SIGTERM, signal.SIGINT):
        # from now on, not only from when uvicorn sets them itself; and when it raises them again at its end
        signal.signal(number, server.handle_exit)
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(server.serve([listener]))


def _sockets(host: str, port: int, processes: int, descriptor: int | None) -> list[socket.socket]:
    if descriptor is not None:
        return [inherited(descriptor)]
    return listen(host, port, processes)
