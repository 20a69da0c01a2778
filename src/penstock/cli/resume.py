"""`penstock resume QUEUE`: deliver from it again."""

from __future__ import annotations

import click

from penstock.cli import session
from penstock.cli.output import as_json, write_json


@click.command()
@click.argument("queue")
@as_json
@session.app_option
def command(queue: str, as_json: bool, app_path: str | None) -> None:
    """Deliver from a paused queue again."""
    session.run(app_path, lambda opened: opened.backends.broker.pause(queue, False))
    if as_json:
        write_json({"name": queue, "paused": False})
    else:
        click.echo(f"{queue} goes on")
