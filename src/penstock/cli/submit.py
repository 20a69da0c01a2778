"""`penstock submit`: one task from the command line, or many from a file of JSON lines."""

from __future__ import annotations

from typing import Any

import click

from penstock.api import show
from penstock.api.orders import Order
from penstock.cli import bulk, session
from penstock.cli.output import as_json, plain, reason, write_json
from penstock.cli.progress import followed
from penstock.cli.session import Session
from penstock.client.submit import Submitter
from penstock.core.encoding import loads
from penstock.core.errors import DecodingError
from penstock.core.record import Record
from penstock.core.states import SUCCESS


class SecondsOrTime(click.ParamType[float | str]):
    """A number of seconds, negative ones too, as the HTTP API takes it; any other text is left to be read as a time."""

    name = "seconds or time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:  # noqa: ARG002
        try:
            return float(value)
        except ValueError:
            return str(value)


@click.command()
@click.argument("task", required=False)
@click.argument("arguments", metavar="[ARGUMENTS]", required=False)
@click.option("--wait", is_flag=True, help="Wait for the end and print the result.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer than this.")
@click.option("--bulk", "file", type=click.File("rb"), metavar="FILE|-", help="Submit a task for each line of a file.")
@click.option("--queue", help="Put it into this queue.")
@click.option("--priority", type=click.IntRange(0, 9), help="0 to 9, higher is sooner.")
@click.option("--countdown", type=float, metavar="SECONDS", help="Run it no sooner than after this time.")
@click.option("--eta", metavar="TIME", help="Run it no sooner than at this time (ISO 8601).")
@click.option("--expires", type=SecondsOrTime(), metavar="SECONDS|TIME", help="Do not start it later than this.")
@click.option("--time-limit", type=float, metavar="SECONDS", help="Stop it after this time.")
@click.option("--soft-time-limit", type=float, metavar="SECONDS", help="Raise an exception in it after this time.")
@click.option("--task-id", metavar="ID", help="Its id; one that exists is refused.")
@as_json
@session.app_option
def command(
    *,
    task: str | None,
    arguments: str | None,
    wait: bool,
    timeout: float | None,
    file: Any,
    as_json: bool,
    app_path: str | None,
    **options: Any,
) -> int:
    """Submit a task and print its id.

    ARGUMENTS is JSON: an array of the arguments in order, or an object of arguments by name.

    With --bulk each line of FILE is one task: its ARGUMENTS if TASK is given, otherwise an object
    {"task": …, "args": […], "kwargs": {…}} with options, as POST /tasks takes it. All lines are checked before the
    first is queued.
    """
    fresh = app_path is not None  # without an app only a live worker knows a task, and it has made the database
    given = {name: value for name, value in options.items() if value is not None}
    if file is not None:
        if arguments is not None or wait or "task_id" in given:
            raise click.UsageError("--bulk takes neither ARGUMENTS, --wait nor --task-id")
        lines = bulk.read(file, task, given)
        return session.run(app_path, lambda opened: bulk.submit(opened, lines, as_json), fresh=fresh)
    if task is None:
        raise click.UsageError("name the TASK to submit, or a file with --bulk")
    order = Order(task, *parsed(arguments), given)
    record = session.run(app_path, lambda opened: submit(opened, order, timeout if wait else 0.0), fresh=fresh)
    return tell(record, as_json) if wait else accepted(record, as_json)


def parsed(arguments: str | None) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments out of a JSON text."""
    try:
        value = loads(arguments.encode()) if arguments is not None else []
    except DecodingError as error:
        raise click.BadParameter(f"this is not JSON: {error}", param_hint="ARGUMENTS") from error
    if isinstance(value, list):
        return value, {}
    if isinstance(value, dict):
        return [], value
    raise click.BadParameter('give an array, such as [2, 3], or an object, such as {"x": 2}', param_hint="ARGUMENTS")


async def submit(opened: Session, order: Order, wait: float | None) -> Record:
    """Submit, and follow the task for `wait` seconds (None: to its end)."""
    submission = await session.prepared(opened, order)
    await Submitter(opened.backends).submit([submission])
    if wait == 0.0:
        return submission.record
    return await followed(opened.backends, submission.record, wait)


def accepted(record: Record, as_json: bool) -> int:
    """Print the id alone, so that a script can take it up."""
    if as_json:
        write_json({"task_id": record.task_id, "status": record.state})
    else:
        print(record.task_id)
    return 0


def tell(record: Record, as_json: bool) -> int:
    """Print the result, or on standard error what went wrong; the exit code says which."""
    if as_json:
        write_json(show.task(record))
        return 0 if record.state == SUCCESS else 1
    task = plain(show.task(record))
    if record.state == SUCCESS:
        write_json(task["result"])
        return 0
    if record.finished_at is None:
        click.echo(f"error: {record.task_id} is {record.state} still; see penstock show {record.task_id}", err=True)
        return 1
    click.echo(f"error: {record.task_id} ended in {record.state}: {reason(task['result'])}", err=True)
    return 1
