"""`penstock cancel ID`: a task that has not started never will; with --terminate a running one is stopped."""

from __future__ import annotations

import click

from penstock.cli import session
from penstock.cli.session import Session
from penstock.client import operations
from penstock.core.errors import Conflict
from penstock.core.states import STARTED


@click.command()
@click.argument("task_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--terminate", is_flag=True, help="Stop the task if it is running.")
@session.app_option
def command(task_ids: tuple[str, ...], terminate: bool, app_path: str | None) -> int:
    """Cancel tasks that have not started; with --terminate also running ones."""

    async def cancel(opened: Session, task_id: str) -> str:
        try:
            outcome = (await operations.cancel(opened.backends, task_id, terminate=terminate)).outcome
        except Conflict as conflict:
            if conflict.state == STARTED:
                raise Conflict(f"task {task_id} is running; --terminate stops it", STARTED) from None
            raise
        return "cancelled" if outcome == "revoked" else "its worker was asked to stop it"

    return session.run(app_path, lambda opened: session.each(opened, task_ids, cancel))
