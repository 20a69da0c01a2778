"""How a command gets at the queues and records: the app or the environment names the servers, and one loop runs it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import click

from penstock.api import orders
from penstock.api.orders import Order
from penstock.api.site import KnownTasks
from penstock.cli.app_path import AppPath
from penstock.cli.output import write_json
from penstock.client.app import Penstock
from penstock.client.backends import Backends, require_shared
from penstock.client.loader import load_app
from penstock.client.submit import Submission
from penstock.core.errors import Conflict, NotFound, SubmitError, UnknownTask
from penstock.core.url import file

T = TypeVar("T")
#: Does something to what a name stands for; returns a line for people, and what the HTTP API answers.
Act = Callable[["Session", str], Awaitable[tuple[str, Any]]]

app_option = click.option(
    "--app",
    "app_path",
    metavar="APP",
    type=AppPath(),
    envvar="PENSTOCK_APP",
    show_envvar=True,
    help="The app whose servers to use; without it, those that the environment names.",
)


class Session:
    """An app, its opened broker and result backend, and the tasks that it or a live worker knows."""

    def __init__(self, app: Penstock, backends: Backends) -> None:
        self.app = app
        self.backends = backends
        self.tasks = KnownTasks(app, backends)


def run(
    app_path: str | None, work: Callable[[Session], Awaitable[T]], *, fresh: bool = False, app: Penstock | None = None
) -> T:
    """Open, do the work, close; return what the work returns. `app` is given where no APP is named.

    A database file that does not exist yet is made only with `fresh`: who looks for tasks in the wrong folder shall be
    told, and leave nothing there. Raises NotFound, and ConfigurationError for a place in this process's memory: what is
    submitted there is gone with it, and nothing can be seen of others'.
    """
    app = load_app(app_path) if app_path else app or Penstock("cli")
    require_shared(app.settings)
    path = file(app.settings.broker_url)
    if path is not None and not fresh and not path.exists():
        raise NotFound(f"there is no database {path}; go to its folder, set PENSTOCK_BROKER_URL, or give --app")
    try:
        return asyncio.run(_run(app, work))
    except asyncio.CancelledError:
        raise click.Abort from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the loop has left Python's own handler behind


async def _run(app: Penstock, work: Callable[[Session], Awaitable[T]]) -> T:
    """At Ctrl-C the work is cancelled, and what it has opened is closed."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, this.cancel)
    async with app.backends() as backends:
        return await work(Session(app, backends))


async def prepared(opened: Session, order: Order) -> Submission:
    """The order validated and encoded. Raises SubmitError, which says what to do about a task that nobody knows."""
    try:
        return await orders.prepared(opened, order)
    except UnknownTask as error:
        if error.near:
            raise
        raise SubmitError(f"{error}; start a worker that has it, or name the app that has it with --app") from None


async def each(opened: Session, names: Sequence[str], act: Act, as_json: bool) -> int:
    """Do one thing to each task, letter or schedule and print what came of it, as JSON in one piece.

    What it could not be done to is told on standard error; the exit code is 1 then.
    """
    done, failed = [], 0
    try:
        for name in names:
            try:
                line, answer = await act(opened, name)
            except (Conflict, NotFound) as error:
                click.echo(f"error: {error}", err=True)
                failed = 1
                continue
            done.append(answer)
            if not as_json:
                click.echo(f"{name}  {line}")
    finally:
        if as_json:
            write_json({"items": done})  # also when a later one broke off: these are done
    return failed
