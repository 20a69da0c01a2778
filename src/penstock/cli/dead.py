"""`penstock dead`: messages that nobody will run again by themselves."""

from __future__ import annotations

from typing import Any

import click

from penstock.api import show
from penstock.cli import session
from penstock.cli.output import Column, ago, as_json, plain, write_fields, write_json, write_table
from penstock.cli.session import Act, Session
from penstock.client import operations
from penstock.core.errors import NotFound
from penstock.core.record import DeadLetter

COLUMNS: dict[str, Column] = {
    "ID": lambda letter: letter["id"],
    "QUEUE": lambda letter: letter["queue"],
    "REASON": lambda letter: letter["reason"],
    "TASK": lambda letter: letter["task"],
    "TASK ID": lambda letter: letter["task_id"],
    "DIED": lambda letter: ago(letter["died_at"]),
    "DETAIL": lambda letter: letter["detail"],
}
PAGE = 500  # letters that are read at once where all of them are dealt with

queue_option = click.option("--queue", default="", metavar="NAME", help="Of this queue.")
reason_option = click.option("--reason", default="", metavar="REASON", help="For this reason.")
all_option = click.option("--all", "everything", is_flag=True, help="All that there are.")
ids_argument = click.argument("letter_ids", metavar="[ID...]", nargs=-1)


@click.group()
def command() -> None:
    """Dead letters: list, show, replay and discard them."""


@command.command("list")
@queue_option
@reason_option
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many.")
@click.option("--cursor", help="Go on where a page ended: the `next` of --json.")
@as_json
@session.app_option
def listing(*, queue: str, reason: str, limit: int, cursor: str | None, as_json: bool, app_path: str | None) -> None:
    """Dead letters, newest first."""
    try:
        letters, following = session.run(
            app_path, lambda opened: opened.backends.results.dead.page(queue, reason, limit, cursor)
        )
    except ValueError as error:
        raise click.BadParameter(f"{cursor!r}: {error}", param_hint="--cursor") from error
    items = [show.dead_letter(letter) for letter in letters]
    if as_json:
        write_json({"items": items, "next": following})
        return
    write_table(plain(items), COLUMNS)
    if following:
        click.echo(f"more: --cursor {following}", err=True)


@command.command("show")
@click.argument("letter_id", metavar="ID")
@as_json
@session.app_option
def whole(letter_id: str, as_json: bool, app_path: str | None) -> None:
    """One dead letter with its message."""
    letter = session.run(app_path, lambda opened: opened.backends.results.dead.get(letter_id))
    if letter is None:
        raise unknown(letter_id)
    if as_json:
        write_json(show.dead_letter_whole(letter))
    else:
        write_fields(plain(show.dead_letter_whole(letter)))


@command.command()
@ids_argument
@queue_option
@reason_option
@all_option
@as_json
@session.app_option
def replay(
    *, letter_ids: tuple[str, ...], queue: str, reason: str, everything: bool, as_json: bool, app_path: str | None
) -> int:
    """Queue dead letters again: those named, or all that a filter matches."""

    async def act(opened: Session, letter_id: str) -> tuple[str, Any]:
        letter = await opened.backends.results.dead.get(letter_id)
        if letter is None:
            raise unknown(letter_id)
        await operations.replay(opened.backends, letter_id)
        return "queued again", {"id": letter.id, "queue": letter.queue, "task_id": letter.task_id or None}

    return deal(app_path, letter_ids, (queue, reason, everything), act, as_json)


@command.command()
@ids_argument
@queue_option
@reason_option
@all_option
@as_json
@session.app_option
def discard(
    *, letter_ids: tuple[str, ...], queue: str, reason: str, everything: bool, as_json: bool, app_path: str | None
) -> int:
    """Delete dead letters: those named, or all that a filter matches."""

    async def act(opened: Session, letter_id: str) -> tuple[str, Any]:
        if not await opened.backends.results.dead.discard([letter_id]):
            raise unknown(letter_id)
        return "discarded", {"id": letter_id}

    return deal(app_path, letter_ids, (queue, reason, everything), act, as_json)


def deal(
    app_path: str | None,
    letter_ids: tuple[str, ...],
    which: tuple[str, str, bool],
    act: Act,
    as_json: bool,
) -> int:
    """Do one thing to the letters that were named or match; print what came of each."""
    queue, reason, everything = which
    if bool(letter_ids) == bool(queue or reason or everything):
        raise click.UsageError("name the letters by ID, or choose them with --queue, --reason or --all")

    async def work(opened: Session) -> int:
        chosen = letter_ids or [letter.id for letter in await matching(opened, queue, reason)]
        return await session.each(opened, chosen, act, as_json)

    return session.run(app_path, work)


async def matching(opened: Session, queue: str, reason: str) -> list[DeadLetter]:
    letters, cursor = await opened.backends.results.dead.page(queue, reason, PAGE)
    while cursor is not None:
        more, cursor = await opened.backends.results.dead.page(queue, reason, PAGE, cursor)
        letters += more
    return letters


def unknown(letter_id: str) -> NotFound:
    return NotFound(f"there is no dead letter {letter_id!r}; `penstock dead list` shows those there are")
