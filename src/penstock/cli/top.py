"""`penstock top`: what happens right now: queues, workers and running tasks, each second."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from typing import Any

import click

from penstock.api import show
from penstock.cli import queues, session, workers
from penstock.cli.output import Column, as_json, drawn, encoded, plain, span
from penstock.cli.session import Session

RUNNING: dict[str, Column] = {
    "RUNNING TASK": lambda run: run["task_id"],
    "NAME": lambda run: run["task"],
    "FOR": lambda run: span(max(0.0, time.time() - run["started_at"])),
    "WORKER": lambda run: run["worker"],
    "PID": lambda run: run["pid"],
}
PERIOD = 1.0  # seconds between two looks


@click.command()
@click.option("--count", "looks", type=click.IntRange(min=1), help="End after so many looks.")
@as_json
@session.app_option
def command(looks: int | None, as_json: bool, app_path: str | None) -> None:
    """Queues, workers and running tasks, each second, until Ctrl-C. With --json one object a second, in one line."""
    session.run(app_path, lambda opened: follow(opened, looks, as_json))


async def follow(opened: Session, looks: int | None, as_json: bool) -> None:
    """Show look after look: in place on a terminal, otherwise one below the other."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    in_place = sys.stdout.isatty() and not as_json
    async with aclosing(observed(opened, looks)) as seen:
        if not in_place:
            async for each in seen:
                print(encoded(each) if as_json else screen(each), flush=True)
            return
        with Live(console=Console(highlight=False), screen=looks is None, auto_refresh=False) as live:
            async for each in seen:
                live.update(Text.from_ansi(screen(each)), refresh=True)


async def observed(opened: Session, looks: int | None) -> AsyncGenerator[dict[str, Any], None]:
    """Look after look; each has the tasks per second that workers reported since the one before."""
    before: dict[str, tuple[float, int]] = {}
    for number in count(1):
        results = opened.backends.results
        listed = [plain(show.worker(each)) for each in await results.workers.all()]
        processed = {each["name"]: each["status"].get("processed", 0) for each in listed}
        now = time.monotonic()
        rates = [
            (total - before[name][1]) / (now - before[name][0]) for name, total in processed.items() if name in before
        ]
        before = {name: (now, total) for name, total in processed.items()}
        yield {
            "queues": await queues.listed(opened),
            "workers": listed,
            "running": [run for each in listed for run in runs(each)],
            "rate": round(sum(rates), 1) if rates else None,
        }
        if number == looks:
            return
        await asyncio.sleep(PERIOD)


def runs(worker: dict[str, Any]) -> list[dict[str, Any]]:
    """The running tasks of a worker, as its last report has them."""
    return [
        {"task_id": run["task_id"], "task": run["task"], "started_at": run["started_at"]}
        | {"worker": worker["name"], "pid": child["pid"]}
        for child in worker["status"].get("children", ())
        for run in child.get("running", ())
    ]


def screen(look: dict[str, Any]) -> str:
    """One look as text."""
    rate = "" if look["rate"] is None else f", {look['rate']:,.0f} tasks a second"
    ready = sum(queue["ready"] for queue in look["queues"])
    head = f"{ready} ready, {len(look['running'])} running, {len(look['workers'])} workers{rate}\n"
    parts = [drawn(look["queues"], queues.COLUMNS), drawn(look["workers"], workers.COLUMNS)]
    if look["running"]:
        parts.append(drawn(look["running"], RUNNING))
    return "\n".join([head, *parts])
