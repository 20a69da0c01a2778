"""Many tasks from JSON lines: all of them are checked before the first is queued, then they go out in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from penstock.api.orders import Order, order_of
from penstock.api.problems import Problem
from penstock.cli.output import write_json
from penstock.cli.progress import counted
from penstock.cli.session import Session, prepared
from penstock.client.submit import Submission, Submitter
from penstock.core.encoding import loads
from penstock.core.errors import DecodingError, SubmitError

BATCH = 100  # tasks that go out in one piece

Line = tuple[int, Order]


class BadLine(click.ClickException):
    """A line of the file cannot be submitted; nothing was queued."""

    def __init__(self, number: int, reason: object) -> None:
        super().__init__(f"line {number}: {reason}; nothing was queued")


def read(file: Iterable[bytes], task: str | None, options: Mapping[str, Any]) -> list[Line]:
    """The order in each line that is not blank, with the number of the line. Raises BadLine."""
    return [(number, order(number, raw, task, options)) for number, raw in enumerate(file, start=1) if raw.strip()]


def order(number: int, raw: bytes, task: str | None, options: Mapping[str, Any]) -> Order:
    """One line: the arguments of `task`, or an object that names its own task."""
    try:
        value = loads(raw)
        if task is None:
            named = order_of(value)
            return Order(named.task, named.args, named.kwargs, {**options, **named.options})
    except DecodingError as error:
        raise BadLine(number, error) from error
    except Problem as problem:
        raise BadLine(number, problem.detail) from problem
    if isinstance(value, list):
        return Order(task, value, {}, dict(options))
    if isinstance(value, dict):
        return Order(task, [], value, dict(options))
    raise BadLine(number, "an array or an object is wanted")


async def submit(opened: Session, lines: list[Line], as_json: bool) -> int:
    """Check all, queue all, print the ids in the order of the lines."""
    submissions = [await checked(opened, *each) for each in counted(lines, "checked")]
    submitter = Submitter(opened.backends)
    batches = [submissions[start : start + BATCH] for start in range(0, len(submissions), BATCH)]
    sent: list[Submission] = []
    try:
        for batch in counted(batches, "queued", BATCH):
            await submitter.submit(batch)
            sent += batch
    finally:
        report(sent, as_json)  # also when a batch failed: these are queued
    return 0


async def checked(opened: Session, number: int, order: Order) -> Submission:
    """The order validated and encoded. Raises BadLine."""
    try:
        return await prepared(opened, order)
    except SubmitError as error:
        raise BadLine(number, error) from error


def report(sent: list[Submission], as_json: bool) -> None:
    if as_json:
        write_json({"items": [{"task_id": each.record.task_id, "status": each.record.state} for each in sent]})
    else:
        for each in sent:
            print(each.record.task_id)
