"""`penstock worker APP`: takes tasks and runs them."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli import app_path as apps
from penstock.cli import logs
from penstock.worker import supervisor
from penstock.worker.logs import set_up
from penstock.worker.options import WorkerOptions


class Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names:
            self.fail(f"{value!r} names no queue", param, ctx)
        return names


@click.command()
@apps.optional_argument
@click.option(
    "-Q", "--queues", type=Names(), default=(), metavar="Q1,Q2", help="Take from these; else from all that APP names."
)
@click.option("--processes", type=click.IntRange(min=1), help="Child processes.  [one a core]")
@click.option("--threads", type=click.IntRange(min=1), help="Threads for plain functions, in each process.  [8]")
@click.option("--concurrency", type=click.IntRange(min=1), help="async tasks at once, in each process.  [100]")
@click.option("--name", help="Unique among live workers.  [the app's name and the process id, @host]")
@click.option("--grace", type=float, metavar="SECONDS", help="Time for running tasks to finish after SIGTERM.  [25]")
@click.option("--max-tasks-per-child", type=click.IntRange(min=0), help="Replace a process after so many.  [never]")
@click.option("--max-memory-per-child", type=click.IntRange(min=0), metavar="BYTES", help="Or at this size.  [never]")
@click.option("--health-port", type=click.IntRange(0, 65535), help="Serve /health/* and /metrics there.")
@click.option(
    "--health-host",
    envvar="PENSTOCK_HEALTH_HOST",
    default="0.0.0.0",  # noqa: S104 - probes come from other machines; it tells nothing that is secret
    show_default=True,
    help="On this address.",
)
@click.option(
    "--no-scheduler", "scheduler", is_flag=True, flag_value=False, default=True, help="Leave schedules and sweeps out."
)
@click.option("--drain", is_flag=True, help="Start none: have this host's workers finish, or the one of --name; wait.")
@click.option("--uid", metavar="USER", help="Become this user, by name or number.")
@logs.options
@click.option("--lifeline", type=int, hidden=True)
@click.option("--ready", type=int, hidden=True)
def command(app_path: str | None, log_format: str, log_level: str, drain: bool, **options: Any) -> int:
    """Take tasks and run them, until SIGTERM: then running tasks may finish, and the rest is handed back."""
    if drain:
        from penstock.cli import drain as draining  # brings a client, which a worker starts without

        return draining.drain(app_path, options["name"], options["grace"])
    if app_path is None:
        raise click.UsageError("Missing argument 'APP'.")
    set_up(log_format, log_level)
    return supervisor.run(app_path, WorkerOptions(**options))
