"""`penstock purge QUEUE`: throw away what waits in it."""

from __future__ import annotations

import click

from penstock.cli import session
from penstock.cli.output import as_json, write_json
from penstock.cli.streams import StandardInputClosed
from penstock.client import operations


@click.command()
@click.argument("queue")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@session.app_option
def command(queue: str, yes: bool, as_json: bool, app_path: str | None) -> int:
    """Throw away everything that waits in a queue, delayed tasks too; they end as REVOKED. Running tasks go on."""
    if not yes and not confirmed(queue):
        return 1
    purged = session.run(app_path, lambda opened: operations.purge(opened.backends, queue))
    if as_json:
        write_json({"name": queue, "purged": purged})
    else:
        click.echo(f"{purged} purged from {queue}")
    return 0


def confirmed(queue: str) -> bool:
    """Ask whoever is there. Raises ClickException where nobody answers."""
    try:
        return click.confirm(f"Throw away everything that waits in {queue}?", err=True)
    except (click.Abort, StandardInputClosed):
        click.echo(err=True)  # the question has no end of its own
        raise click.ClickException("nobody answers on standard input; say --yes to purge without being asked") from None
