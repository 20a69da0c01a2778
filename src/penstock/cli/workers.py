"""`penstock workers`: who is alive."""

from __future__ import annotations

import click

from penstock.api import show
from penstock.cli import session
from penstock.cli.output import Column, Row, ago, as_json, plain, write_json, write_table


def running(worker: Row) -> int:
    """How many tasks its last report says it runs."""
    return sum(len(child.get("running", ())) for child in worker["status"].get("children", ()))


COLUMNS: dict[str, Column] = {
    "WORKER": lambda worker: worker["name"],
    "PID": lambda worker: worker["pid"],
    "QUEUES": lambda worker: ",".join(worker["queues"]),
    "PROCESSES": lambda worker: worker["processes"],
    "THREADS": lambda worker: worker["threads"],
    "RUNNING": running,
    "TASKS": lambda worker: len(worker["tasks"]),
    "STARTED": lambda worker: ago(worker["started_at"]),
    "VERSION": lambda worker: worker["version"],
}


@click.command()
@as_json
@session.app_option
def command(as_json: bool, app_path: str | None) -> None:
    """The workers that are alive."""
    workers = session.run(app_path, lambda opened: opened.backends.results.workers.all())
    items = [plain(show.worker(worker)) for worker in workers]
    if as_json:
        write_json({"items": items, "next": None})
    else:
        write_table(items, COLUMNS)
