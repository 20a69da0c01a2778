"""`penstock schedules`: what is submitted when; pausing it, and running it now."""

from __future__ import annotations

from typing import Any

import click

from penstock.api import show
from penstock.api.orders import Order
from penstock.cli import session
from penstock.cli.output import Column, Row, ago, as_json, plain, span, write_json, write_table
from penstock.cli.session import Session
from penstock.client.submit import Submitter
from penstock.core.errors import NotFound
from penstock.core.schedule import ScheduleEntry


def when(schedule: Row) -> str:
    if schedule["cron"]:
        return f"{schedule['cron']} {schedule['timezone']}"
    return f"every {span(schedule['every'])}"


COLUMNS: dict[str, Column] = {
    "SCHEDULE": lambda schedule: schedule["name"],
    "TASK": lambda schedule: schedule["task"],
    "WHEN": when,
    "NEXT": lambda schedule: "paused" if schedule["paused"] else ago(schedule["next_due"]),
    "LAST": lambda schedule: ago(schedule["last_due"]),
    "FIRED": lambda schedule: schedule["fired"],
}

names_argument = click.argument("names", metavar="NAME...", nargs=-1, required=True)


class Listing(click.Group):
    """A group that lists unless told otherwise: `penstock schedules --json` is `penstock schedules list --json`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = args and (not args[0].startswith("-") or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else ["list", *args])


@click.group(cls=Listing)
def command() -> None:
    """The schedules, and when each is due next; pause, resume or run them."""


@command.command("list")
@as_json
@session.app_option
def listing(as_json: bool, app_path: str | None) -> None:
    """The schedules, and when each is due next."""
    entries = session.run(app_path, lambda opened: opened.backends.results.schedules.all())
    items = [plain(show.schedule(entry)) for entry in entries]
    if as_json:
        write_json({"items": items, "next": None})
    else:
        write_table(items, COLUMNS)


@command.command()
@names_argument
@as_json
@session.app_option
def pause(names: tuple[str, ...], as_json: bool, app_path: str | None) -> int:
    """Fire schedules no more until they are resumed; durable."""
    return switch(names, True, as_json, app_path)


@command.command()
@names_argument
@as_json
@session.app_option
def resume(names: tuple[str, ...], as_json: bool, app_path: str | None) -> int:
    """Fire schedules again, from now on: what was due meanwhile is not made up for."""
    return switch(names, False, as_json, app_path)


@command.command()
@names_argument
@as_json
@session.app_option
def run(names: tuple[str, ...], as_json: bool, app_path: str | None) -> int:
    """Submit the tasks of schedules now, besides their due times; print the tasks' ids."""

    async def submit(opened: Session, name: str) -> tuple[str, Any]:
        plan = (await found(opened, name)).schedule
        submission = await session.prepared(
            opened, Order(plan.task, list(plan.args), dict(plan.kwargs), dict(plan.options))
        )
        await Submitter(opened.backends).submit([submission])
        task_id = submission.record.task_id
        return task_id, {"task_id": task_id, "status": submission.record.state}

    return session.run(app_path, lambda opened: session.each(opened, names, submit, as_json))


def switch(names: tuple[str, ...], paused: bool, as_json: bool, app_path: str | None) -> int:
    async def one(opened: Session, name: str) -> tuple[str, Any]:
        if not await opened.backends.results.schedules.pause(name, paused):
            raise unknown(name)
        return "paused" if paused else "resumed", show.schedule(await found(opened, name))

    return session.run(app_path, lambda opened: session.each(opened, names, one, as_json))


async def found(opened: Session, name: str) -> ScheduleEntry:
    """Raises NotFound."""
    for entry in await opened.backends.results.schedules.all():
        if entry.schedule.name == name:
            return entry
    raise unknown(name)


def unknown(name: str) -> NotFound:
    return NotFound(f"there is no schedule {name!r}; `penstock schedules` shows those there are")
