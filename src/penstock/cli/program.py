"""The group of all commands: found by name, imported when used, their errors told in one line.

`penstock --help` imports no command, so it costs what Click costs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from penstock.cli import INTERRUPTED, streams
from penstock.core.errors import PenstockError

#: Name → what it does, in the order of a task's life. The command is `command` in the module of its name.
COMMANDS = {
    "dev": "API, dashboard, worker, scheduler in one go; reload on change.",
    "api": "The HTTP API and the dashboard.",
    "worker": "Take tasks and run them.",
    "consume": "Give raw messages to any program.",
    "submit": "Submit a task, or many from a file.",
    "show": "All that is known of a task.",
    "list": "Tasks, newest first.",
    "cancel": "Cancel tasks that have not started; or stop running ones.",
    "retry": "Run failed or cancelled tasks once more.",
    "queues": "Queues and how much waits in them.",
    "workers": "The workers that are alive.",
    "top": "Queues, workers and running tasks, each second.",
    "dead": "Dead letters: list, show, replay, discard.",
    "pause": "Deliver nothing from a queue until it is resumed.",
    "resume": "Deliver from a paused queue again.",
    "purge": "Throw away what waits in a queue.",
    "publish": "Put a raw message into a queue.",
    "schedules": "What is submitted when.",
    "health": "Exit with 0 if tasks can be taken and kept now.",
    "doctor": "Say what is weak or wrong here.",
    "deploy": "Write what runs an app elsewhere.",
    "completion": "Complete commands and options in your shell.",
}
PIPE_CLOSED = 141  # 128 + SIGPIPE: the reader of our output is gone, as with any tool in a pipe


class Lazy(click.Group):
    """A group whose commands are imported when they are called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"penstock.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        names = [CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command {args[0]!r}{near(args[0])}.", ctx)
        return super().resolve_command(ctx, args)


def near(name: str) -> str:
    """A hint at the commands that look like `name`; "" if none does."""
    from difflib import get_close_matches

    found = get_close_matches(name, COMMANDS)
    return f"; did you mean {' or '.join(found)}?" if found else ""


@click.group("penstock", cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="penstock", message="%(prog)s %(version)s")
def program() -> None:
    """A task queue: write a function, get an HTTP API, durable queues, workers, results and history.

    APP is module:attr or path/file.py[:attr]; attr is `app` unless given. Settings come from the environment
    (PENSTOCK_BROKER_URL and others). PENSTOCK_DEBUG=1 shows tracebacks.
    """


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code: 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    streams.completed()
    return guarded(lambda: program.main(arguments, prog_name="penstock", standalone_mode=False))


def guarded(work: Callable[[], object]) -> int:
    """Do `work`, which may return its exit code; whatever goes wrong becomes one line and an exit code."""
    try:
        outcome = work()
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still in the buffer has nowhere to go; without this the interpreter would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    # The command line is the outermost edge: whatever went wrong is told to a person here, and nowhere swallowed.
    except Exception as error:
        if os.environ.get("PENSTOCK_DEBUG"):
            raise
        for line in told(error):
            click.echo(f"error: {line}", err=True)
        return 1
    return outcome if isinstance(outcome, int) else 0


def told(error: Exception) -> list[str]:
    """What to print for `error`: our own speak for themselves, others get their class and a way to learn more."""
    if isinstance(error, PenstockError):
        return str(error).splitlines()
    if isinstance(error, OSError) and error.strerror:
        return [f"{error.filename}: {error.strerror}" if error.filename else error.strerror]
    return [f"{type(error).__name__}: {error} (unexpected; PENSTOCK_DEBUG=1 shows the traceback)"]
