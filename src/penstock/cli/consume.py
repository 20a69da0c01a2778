"""`penstock consume -q QUEUE -- PROGRAM ARGS…`: raw messages to a program's standard input, as amqp-consume does it."""

from __future__ import annotations

import sys
from typing import Any

import click

from penstock.cli import broker, logs
from penstock.client.bare import Bare
from penstock.core.broker import Declaration
from penstock.core.errors import ConfigurationError
from penstock.core.ids import new_id
from penstock.core.retry import RetryPolicy
from penstock.programs import program as programs
from penstock.programs.run import Time
from penstock.worker import supervisor, user
from penstock.worker.logs import set_up
from penstock.worker.options import WorkerOptions
from penstock.worker.raw import Raw

_SECONDS = click.FloatRange(min=0, min_open=True)


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("-q", "--queue", "queues", multiple=True, metavar="QUEUE",
              help="Take from it; repeatable. It is made where it is missing.  [an exclusive one]")  # fmt: skip
@broker.options
@click.option("-e", "--exchange", metavar="NAME", default="", help="Bind the queues to it (RabbitMQ).")
@click.option("-r", "--routing-key", "keys", multiple=True, metavar="KEY", help="With this key; repeatable.  [empty]")
@click.option("-x", "--exclusive", is_flag=True, help="Make queues for this consumer alone, gone with it (RabbitMQ).")
@click.option("-d", "--declare", is_flag=True, help="Make the queue where it is missing, as is always done.")
@click.option("-n", "--parallel", type=click.IntRange(1, 4096), default=1, show_default=True, help="Programs at once.")
@click.option(
    "-p",
    "--prefetch",
    "--prefetch-count",
    type=click.IntRange(min=1),
    help="Messages held at most.  [what will run within 0.25 s]",
)
@click.option("-c", "--count", type=click.IntRange(min=1), help="End after so many messages.  [never]")
@click.option("-A", "--no-ack", is_flag=True, help="A message is gone once it is here, whatever its program does.")
@click.option("--max-deliveries", type=click.IntRange(min=1), help="Runs until a message is a dead letter.  [5]")
@click.option("--backoff", type=click.FloatRange(min=0), default=1.0, show_default=True, metavar="SECONDS",
              help="Delay after a failed run; doubles, up to 10 minutes. 0: at once.")  # fmt: skip
@click.option("--time-limit", type=_SECONDS, metavar="SECONDS", help="Then the program's group is killed.  [never]")
@click.option("--soft-time-limit", type=_SECONDS, metavar="SECONDS", help="Then it gets SIGTERM.  [never]")
@click.option("--memory", type=click.IntRange(min=0), metavar="BYTES", default=0, help="Of each program.  [any]")
@click.option("--cpu", type=click.IntRange(min=0), metavar="SECONDS", default=0, help="Of each program.  [any]")
@click.option("--nice", type=click.IntRange(0, 19), default=0, help="Added to the program's niceness.  [0]")
@click.option("--cwd", metavar="FOLDER", help="Where the program runs.  [here]")
@click.option("--grace", type=float, metavar="SECONDS", help="Time for running programs after SIGTERM.  [25]")
@click.option("--name", help="Unique among live workers.  [the program's and the process id, @host]")
@click.option("--health-port", type=click.IntRange(0, 65535), help="Serve /health/* and /metrics there.")
@click.option("--uid", metavar="USER", help="Become this user, by name or number.")
@logs.options
@click.option("--ready", type=int, hidden=True)
@click.argument("program", nargs=-1, required=True, type=click.UNPROCESSED, metavar="PROGRAM [ARGS]...")
def command(*, log_format: str, log_level: str, program: tuple[str, ...], **given: Any) -> int:
    """Give each raw message of a queue to PROGRAM on its standard input.

    Exit code 0 consumes the message. 65 makes it a dead letter at once. After any other, or a signal, or its time
    limit, it is delivered again, here or elsewhere, and is a dead letter after --max-deliveries runs. What is known of
    the message stands in the environment (MESSAGE_ID, MESSAGE_HEADER_…). The program's output is this command's output;
    log lines go to standard error.
    """
    set_up(log_format, log_level, sys.stderr)
    user.become(given["uid"])
    given["declarations"] = _declarations(given)
    given["queues"] = tuple(each.queue for each in given["declarations"])
    app = Bare("consume", broker=broker.address(given["url"], given["broker"]))
    words = programs.texts(program)
    folder = programs.checked_folder(given["cwd"])
    limits = programs.Limits(memory=given["memory"], cpu=given["cpu"], nice=given["nice"])
    path = programs.find(words[0], folder)
    found = programs.Program(
        path=path, argv=words, environment=programs.environment(None), folder=folder, limits=limits
    )
    return supervisor.serve(app, _options(given, raw(app, found, given)))


def raw(app: Bare, program: programs.Program, given: dict[str, Any]) -> Raw:
    """What is done with each message, as the options say."""
    soft, hard = given["soft_time_limit"], given["time_limit"]
    if soft is not None and hard is not None and soft >= hard:
        raise ConfigurationError(f"--soft-time-limit {soft:g} must be less than --time-limit {hard:g}")
    time = Time(**{name: value for name, value in (("soft", soft), ("hard", hard)) if value is not None})
    return Raw(
        program=program,
        max_deliveries=given["max_deliveries"] or app.settings.max_deliveries,
        retry=RetryPolicy(first=given["backoff"]),
        time=time,
        prefetch=given["prefetch"] or 0,
        count=given["count"] or 0,
        acks=not given["no_ack"],
        declarations=given["declarations"],
        letters=app.keeps,
    )


def _declarations(given: dict[str, Any]) -> tuple[Declaration, ...]:
    """The queues. Without a name there is one for this consumer alone: nobody else could find it."""
    if given["keys"] and not given["exchange"]:
        raise click.UsageError("--routing-key needs an --exchange to bind to")
    alone = given["exclusive"] or not given["queues"]
    queues = given["queues"] or (f"penstock.exclusive.{new_id()}",)
    return tuple(Declaration(queue, given["exchange"], given["keys"] or ("",), alone) for queue in queues)


def _options(given: dict[str, Any], raw: Raw) -> WorkerOptions:
    return WorkerOptions(
        queues=given["queues"],
        processes=1,
        threads=given["parallel"],
        concurrency=given["parallel"],
        name=given["name"],
        grace=given["grace"],
        max_tasks_per_child=0,
        max_memory_per_child=0,
        health_port=given["health_port"],
        ready=given["ready"],
        scheduler=raw.letters,  # without records there is nothing to sweep
        raw=raw,
    )
