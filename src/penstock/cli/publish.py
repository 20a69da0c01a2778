"""`penstock publish -q QUEUE`: put a raw message, as it is, for a program that consumes the queue."""

from __future__ import annotations

from typing import Any, BinaryIO

import click

from penstock.cli import session
from penstock.cli.broker import address
from penstock.cli.broker import options as broker_options
from penstock.cli.output import as_json, write_json
from penstock.client import operations
from penstock.client.bare import Bare


@click.command()
@click.option("-q", "--queue", metavar="QUEUE", help="Where to put it.")
@click.option("-e", "--exchange", metavar="NAME", help="Or the exchange to publish it to (RabbitMQ) …")
@click.option(
    "-r", "--routing-key", "key", metavar="KEY", help="… with this key; without an exchange, the queue.  [empty]"
)
@click.option("--priority", type=click.IntRange(0, 9), default=0, show_default=True, help="Higher is sooner.")
@click.option("-C", "--content-type", metavar="TYPE", help="[application/octet-stream]")
@click.option("-E", "--content-encoding", metavar="CODING", help="[binary]")
@click.option("-t", "--reply-to", metavar="QUEUE", help="Where an answer is awaited.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Repeatable.")
@click.option("-p", "--persistent", is_flag=True, help="It outlives its server's restarts, as every message does here.")
@click.argument("file", metavar="[FILE|-]", type=click.File("rb"), default="-")
@broker_options
@as_json
@session.app_option
def command(
    *, file: BinaryIO, url: str | None, broker: str | None, as_json: bool, app_path: str | None, **given: Any
) -> None:
    """Put a raw message into a queue: the bytes of FILE, or of standard input."""
    queue, exchange = _target(given)
    body = file.read()
    if app_path and (url or broker):
        raise click.UsageError("give either --app, or --url or --broker")
    properties = {name: given[name] for name in ("content_type", "content_encoding", "reply_to") if given[name]}
    headers = dict(map(_header, given["headers"]))
    session.run(
        app_path,
        lambda opened: operations.publish(
            opened.backends,
            queue,
            body,
            given["priority"],
            exchange=exchange,
            headers=headers,
            properties=properties,
        ),
        fresh=True,
        app=None if app_path else Bare("cli", broker=address(url, broker)),
    )
    where = {"exchange": exchange, "routing_key": queue} if exchange else {"queue": queue}
    if as_json:
        write_json({**where, "size": len(body)})
    else:
        click.echo(f"{len(body)} bytes published to {exchange or queue}", err=True)


def _target(given: dict[str, Any]) -> tuple[str, str]:
    """The queue, or the routing key; and the exchange, if there is one."""
    queue, exchange, key = given["queue"], given["exchange"], given["key"]
    if queue and (exchange or key is not None):
        raise click.UsageError("give either --queue, or --exchange and --routing-key")
    if not (queue or exchange or key):
        raise click.UsageError("give --queue, or --exchange")
    return queue or key or "", exchange or ""


def _header(text: str) -> tuple[str, str]:
    name, mark, value = text.partition(":")
    if not name.strip() or not mark:
        raise click.UsageError(f"--header {text!r}: write 'NAME: VALUE'")
    return name.strip(), value.strip()
