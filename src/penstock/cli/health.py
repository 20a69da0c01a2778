"""`penstock health`: a probe for orchestrators that run a command: exit code 0 if tasks can be taken and kept now."""

from __future__ import annotations

import asyncio
import socket

import click

from penstock.api.pulse import FINE
from penstock.cli import session
from penstock.cli.output import as_json, write_json
from penstock.cli.session import Session
from penstock.core.errors import Unavailable


@click.command()
@click.option("--worker", is_flag=True, help="Also: a worker of this host is alive.")
@click.option("--timeout", type=float, default=2.0, show_default=True, metavar="SECONDS", help="For all answers.")
@as_json
@session.app_option
def command(worker: bool, timeout: float, as_json: bool, app_path: str | None) -> None:
    """Exit with 0 if broker and result backend answer in time, with 1 otherwise."""
    checks = session.run(app_path, lambda opened: probe(opened, worker, timeout), fresh=True)
    if as_json:
        write_json({"status": "ready", "checks": checks})
    else:
        click.echo("ok")


async def probe(opened: Session, worker: bool, timeout: float) -> dict[str, str]:
    """What was looked at, as /health/ready names it. Raises Unavailable or StorageError saying what is wrong."""
    try:
        async with asyncio.timeout(timeout):
            await opened.backends.broker.ping()
            await opened.backends.results.ping()
            workers = await opened.backends.results.workers.all()
    except TimeoutError:
        raise Unavailable(f"{opened.backends.urls}: no answer within {timeout:g} s") from None
    host = socket.gethostname()
    if worker and not any(each.host == host for each in workers):
        raise Unavailable(f"no worker on {host} is alive")
    return dict.fromkeys(("broker", "results", *(("worker",) if worker else ())), FINE)
