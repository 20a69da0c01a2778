"""`penstock publish -q QUEUE`: put a raw message, as it is, for a program that consumes the queue."""

from __future__ import annotations

from typing import BinaryIO

import click

from penstock.cli import session
from penstock.cli.output import as_json, write_json
from penstock.client import operations


@click.command()
@click.option("-q", "--queue", required=True, metavar="QUEUE", help="Where to put it.")
@click.option("--priority", type=click.IntRange(0, 9), default=0, show_default=True, help="Higher is sooner.")
@click.argument("file", metavar="[FILE|-]", type=click.File("rb"), default="-")
@as_json
@session.app_option
def command(*, queue: str, priority: int, file: BinaryIO, as_json: bool, app_path: str | None) -> None:
    """Put a raw message into a queue: the bytes of FILE, or of standard input."""
    body = file.read()
    session.run(
        app_path, lambda opened: operations.publish(opened.backends, queue, body, priority=priority), fresh=True
    )
    if as_json:
        write_json({"queue": queue, "size": len(body)})
    else:
        click.echo(f"{len(body)} bytes published to {queue}", err=True)
