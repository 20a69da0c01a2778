"""`penstock cancel ID`: a task that has not started never will; with --terminate a running one is stopped."""

from __future__ import annotations

from typing import Any

import click

from penstock.api import show
from penstock.cli import session
from penstock.cli.output import as_json
from penstock.cli.session import Session
from penstock.client import operations
from penstock.core.errors import Conflict
from penstock.core.states import STARTED


@click.command()
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--terminate", is_flag=True, help="Stop the task if it is running.")
@as_json
@session.app_option
def command(task_ids: tuple[str, ...], terminate: bool, as_json: bool, app_path: str | None) -> int:
    """Cancel tasks that have not started; with --terminate also running ones."""

    async def cancel(opened: Session, task_id: str) -> tuple[str, Any]:
        try:
            done = await operations.cancel(opened.backends, task_id, terminate=terminate)
        except Conflict as conflict:
            if conflict.state == STARTED:
                raise Conflict(f"task {task_id} is running; --terminate stops it", STARTED) from None
            raise
        line = "cancelled" if done.outcome == "revoked" else "its worker was asked to stop it"
        return line, show.task(done.record)

    return session.run(app_path, lambda opened: session.each(opened, task_ids, cancel, as_json))
