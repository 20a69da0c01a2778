"""`penstock pause QUEUE`: nothing is delivered from it any more; submitting goes on."""

from __future__ import annotations

import click

from penstock.cli import session
from penstock.cli.output import as_json, write_json


@click.command()
@click.argument("queue")
@as_json
@session.app_option
def command(queue: str, as_json: bool, app_path: str | None) -> None:
    """Deliver nothing from a queue until it is resumed; durable. Running tasks go on."""
    session.run(app_path, lambda opened: opened.backends.broker.pause(queue, True), fresh=True)
    if as_json:
        write_json({"name": queue, "paused": True})
    else:
        click.echo(f"{queue} is paused; go on with: penstock resume {queue}")
