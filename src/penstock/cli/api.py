"""`penstock api APP`: the HTTP API."""

from __future__ import annotations

import logging
import os
from contextlib import suppress

import click

from penstock.api import server
from penstock.cli import app_path, lifeline, logs, servers
from penstock.worker.logs import set_up

log = logging.getLogger("penstock.api")


@click.command()
@app_path.argument
@click.option("--processes", type=click.IntRange(1, 512), default=1, show_default=True, help="Processes on one port.")
@click.option("--insecure", is_flag=True, help="Let everybody on the network in, without API keys.")
@click.option("--no-dashboard", is_flag=True, help="The API alone, without pages at /ui.")
@servers.address
@logs.options
@click.option("--descriptor", type=int, hidden=True)
@click.option("--ready", type=int, hidden=True)
@lifeline.option
def command(
    *,
    app_path: str,
    processes: int,
    insecure: bool,
    no_dashboard: bool,
    host: str | None,
    port: int | None,
    descriptor: int | None,
    ready: int | None,
    **log_options: str,
) -> int:
    """The HTTP API, its documentation at /docs, and the dashboard at /ui."""
    set_up(log_options["log_format"], log_options["log_level"])

    def say(line: str) -> None:
        """Tell the log where the server is; or whoever handed the socket down that it is served now."""
        if ready is None:
            log.info("%s", line)
        else:
            with suppress(BrokenPipeError):  # it is gone: the lifeline is about to end this process
                os.write(ready, b"a")

    return server.run(
        app_path,
        host=host,
        port=port,
        processes=processes,
        insecure=insecure,
        descriptor=descriptor,
        say=say,
        serving=server.API if no_dashboard else _with_dashboard(),
    )


def _with_dashboard() -> server.Serving:
    from penstock.dashboard import application

    return server.Serving(application.create, {"dashboard": "/ui", **server.API.pages})
