"""`penstock retry ID`: run a failed or cancelled task once more, under the same id."""

from __future__ import annotations

from typing import Any

import click

from penstock.cli import session
from penstock.cli.output import as_json
from penstock.cli.session import Session
from penstock.client import operations


@click.command()
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@as_json
@session.app_option
def command(task_ids: tuple[str, ...], as_json: bool, app_path: str | None) -> int:
    """Run failed or cancelled tasks once more, under the same ids."""

    async def retry(opened: Session, task_id: str) -> tuple[str, Any]:
        record = await operations.retry(opened.backends, task_id)
        return f"queued again in {record.queue}", {"task_id": record.task_id, "status": record.state}

    return session.run(app_path, lambda opened: session.each(opened, task_ids, retry, as_json))
