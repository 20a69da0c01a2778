"""`penstock list`: tasks by filter, newest first."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from penstock.api import show
from penstock.cli import session
from penstock.cli.output import Column, ago, as_json, plain, span, write_json, write_table
from penstock.client import operations
from penstock.core import times
from penstock.core.record import Filter
from penstock.core.states import ALL

COLUMNS: dict[str, Column] = {
    "ID": lambda task: task["task_id"],
    "TASK": lambda task: task["task"],
    "STATUS": lambda task: task["status"],
    "QUEUE": lambda task: task["queue"],
    "CREATED": lambda task: ago(task["created_at"]),
    "RUNTIME": lambda task: span(task["runtime"]),
    "WORKER": lambda task: task["worker"],
}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Moment(click.ParamType[float]):
    """A time: ISO 8601, or how long ago (`90s`, `10m`, `2h`, `7d`). Gives unix seconds."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if ago := re.fullmatch(r"(\d+)([smhd])", value):
            return time.time() - int(ago[1]) * UNITS[ago[2]]
        try:
            return times.parse(value)
        except ValueError:
            self.fail(f"{value!r} is neither a time such as 2026-01-31T12:00:00Z nor a span such as 10m", param, ctx)


@click.command()
@click.option(
    "--status", "states", multiple=True, type=click.Choice(sorted(ALL), case_sensitive=False), help="In this state."
)
@click.option("--task", "tasks", multiple=True, metavar="NAME", help="Of this task.")
@click.option("--queue", "queues", multiple=True, metavar="NAME", help="Of this queue.")
@click.option("--worker", "workers", multiple=True, metavar="NAME", help="Run by this worker.")
@click.option("--q", "text", default="", metavar="TEXT", help="With this text in arguments, result or id.")
@click.option("--since", type=Moment(), help="Created at or after: 2026-01-31T12:00:00Z, or 10m for ten minutes ago.")
@click.option("--until", type=Moment(), help="Created before.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--cursor", help="Go on where a page ended: the `next` of --json.")
@as_json
@session.app_option
def command(limit: int, cursor: str | None, as_json: bool, app_path: str | None, **which: Any) -> None:
    """Tasks, newest first. A filter given more than once matches any of its values."""
    try:
        page = session.run(app_path, lambda opened: operations.page(opened.backends, Filter(**which), limit, cursor))
    except ValueError as error:
        raise click.BadParameter(f"{cursor!r}: {error}", param_hint="--cursor") from error
    items = [show.task_item(record) for record in page.items]
    if as_json:
        write_json({"items": items, "next": page.next})
        return
    write_table(plain(items), COLUMNS)
    if page.next:
        click.echo(f"more: --cursor {page.next}", err=True)
