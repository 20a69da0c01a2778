"""`penstock show ID`: the record of one task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from penstock.api import show
from penstock.cli import session
from penstock.cli.output import ago, as_json, plain, reason, span, write_fields, write_json
from penstock.cli.session import Session
from penstock.core.errors import NotFound
from penstock.core.record import Record


@click.command()
@click.argument("task_id", metavar="ID")
@as_json
@session.app_option
def command(task_id: str, as_json: bool, app_path: str | None) -> None:
    """All that is known of a task."""
    record = session.run(app_path, lambda opened: fetch(opened, task_id))
    if as_json:
        write_json(show.task(record))
    else:
        write_fields(described(plain(show.task(record))))


async def fetch(opened: Session, task_id: str) -> Record:
    """The record of a task. Raises NotFound."""
    found = await opened.backends.results.records.get([task_id])
    if task_id not in found:
        raise NotFound(f"there is no task {task_id!r} in {opened.backends.urls}")
    return found[task_id]


def described(task: Mapping[str, Any]) -> dict[str, object]:
    """The record's fields for people, the attempts as one line each."""
    hidden = {"generation", "deliveries", "root_id", "cancelling", "attempts", "traceback"}
    fields = {name: value for name, value in task.items() if name not in hidden}
    for name in ("created_at", "started_at", "finished_at", "eta", "expires"):
        fields[name] = task[name] and f"{task[name]} ({ago(task[name])})"
    fields["runtime"] = span(task["runtime"])
    fields["attempts"] = "\n".join(map(attempt_line, task["attempts"]))
    fields["traceback"] = (task["traceback"] or "").rstrip()
    return fields


def attempt_line(attempt: Mapping[str, Any]) -> str:
    told = reason(attempt["error"])
    parts = (str(attempt["number"]), attempt["status"], attempt["worker"], span(attempt["runtime"]), told)
    return "  ".join(filter(None, parts))
