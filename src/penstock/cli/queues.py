"""`penstock queues`: what waits, where, and who takes from it."""

from __future__ import annotations

import asyncio
import sys

import click

from penstock.api import show
from penstock.cli import session
from penstock.cli.output import Column, Row, ago, as_json, drawn, plain, write_json, write_table
from penstock.cli.session import Session
from penstock.client import operations

COLUMNS: dict[str, Column] = {
    "QUEUE": lambda queue: queue["name"],
    "READY": lambda queue: queue["ready"],
    "DELAYED": lambda queue: queue["delayed"],
    "CLAIMED": lambda queue: queue["claimed"],
    "WORKERS": lambda queue: queue["workers"],
    "OLDEST": lambda queue: ago(queue["oldest"]),
    "": lambda queue: "paused" if queue["paused"] else "",
}
PERIOD = 1.0  # seconds between two looks with --watch


@click.command()
@click.option("--watch", is_flag=True, help="Keep showing them, each second, until Ctrl-C.")
@as_json
@session.app_option
def command(watch: bool, as_json: bool, app_path: str | None) -> None:
    """Queues and how much waits in them."""
    session.run(app_path, lambda opened: follow(opened, as_json) if watch else once(opened, as_json))


async def once(opened: Session, as_json: bool) -> None:
    items = await listed(opened)
    if as_json:
        write_json({"items": items, "next": None})
    else:
        write_table(items, COLUMNS)


async def follow(opened: Session, as_json: bool) -> None:
    """The table in place on a terminal; elsewhere, and with --json, one after the other."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    if as_json or not sys.stdout.isatty():
        while True:
            await once(opened, as_json)
            sys.stdout.flush()
            await asyncio.sleep(PERIOD)
    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        while True:
            live.update(Text.from_ansi(drawn(await listed(opened), COLUMNS)), refresh=True)
            await asyncio.sleep(PERIOD)


async def listed(opened: Session) -> list[Row]:
    """The queues as GET /queues shows them."""
    depths = await operations.depths(opened.backends)
    workers = await opened.backends.results.workers.all()
    items: list[Row] = plain(show.queues(depths, workers))
    return items
