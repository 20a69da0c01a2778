"""`penstock pause QUEUE`: nothing is delivered from it any more; submitting goes on."""

from __future__ import annotations

import click

from penstock.cli import session


@click.command()
@click.argument("queue")
@session.app_option
def command(queue: str, app_path: str | None) -> None:
    """Deliver nothing from a queue until it is resumed; durable. Running tasks go on."""
    session.run(app_path, lambda opened: opened.backends.broker.pause(queue, True), fresh=True)
    click.echo(f"{queue} is paused; go on with: penstock resume {queue}")
