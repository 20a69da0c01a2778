"""`penstock resume QUEUE`: deliver from it again."""

from __future__ import annotations

import click

from penstock.cli import session


@click.command()
@click.argument("queue")
@session.app_option
def command(queue: str, app_path: str | None) -> None:
    """Deliver from a paused queue again."""
    session.run(app_path, lambda opened: opened.backends.broker.pause(queue, False))
    click.echo(f"{queue} goes on")
