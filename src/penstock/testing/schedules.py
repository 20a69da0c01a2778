"""Schedules in tests: what is due by the test's clock is submitted, nothing by itself."""

from __future__ import annotations

from typing import Any

from penstock.client.app import Penstock
from penstock.client.result import AsyncResult
from penstock.client.submit import Submitter
from penstock.core.record import Record
from penstock.scheduler.loop import SHORTEST, Scheduler
from penstock.testing.submissions import recorded


def fire_schedules(app: Penstock) -> list[AsyncResult[Any]]:
    """Do the scheduler's part: submit the tasks of all schedules that are due; return them, to be run by `drain`."""
    known = {record.task_id for record in recorded(app)}
    app.portal.call(lambda submitter: _fire(app, submitter))
    fresh: list[Record] = [record for record in recorded(app) if record.task_id not in known]
    return [app.AsyncResult(record.task_id) for record in fresh]


async def _fire(app: Penstock, submitter: Submitter) -> None:
    scheduler = Scheduler(app, submitter.backends)
    while await scheduler.poll() <= SHORTEST:
        pass
