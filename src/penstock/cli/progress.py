"""How far long work is: bars on standard error, and only where somebody looks at them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from penstock.api import show
from penstock.cli.output import plain, printable
from penstock.client.backends import Backends
from penstock.core.record import Record
from penstock.core.states import ENDED

T = TypeVar("T")

_LONGEST_SLEEP = 5.0  # seconds between two looks, should a wake-up be lost with its connection


def bar(*columns: TextColumn | MofNCompleteColumn) -> Progress:
    """A bar that vanishes when it is done; none without a terminal."""
    return Progress(
        SpinnerColumn(),
        *columns,
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )


def counted(items: Sequence[T], verb: str, size: int = 1) -> Iterator[T]:
    """The items, with a bar that counts them; each stands for `size` things."""
    with bar(TextColumn(verb), MofNCompleteColumn()) as progress:
        shown = progress.add_task(verb, total=len(items) * size)
        for item in items:
            yield item
            progress.advance(shown, size)


async def followed(backends: Backends, record: Record, timeout: float | None) -> Record:
    """Wait for a task's end, at most `timeout` seconds, showing its progress; return its record as it is then."""
    until = None if timeout is None else time.monotonic() + timeout
    watch = backends.results.records.watch([record.task_id])
    try:
        with bar(TextColumn("{task.description}", markup=False)) as progress:
            shown = progress.add_task(record.task, total=None)
            while record.state not in ENDED and (until is None or time.monotonic() < until):
                left = _LONGEST_SLEEP if until is None else min(_LONGEST_SLEEP, until - time.monotonic())
                await watch.wait(max(left, 0.0))
                record = (await backends.results.records.get([record.task_id])).get(record.task_id, record)
                fraction, text = reported(record)
                progress.update(
                    shown, completed=fraction, total=1.0 if fraction is not None else None, description=text
                )
    finally:
        await watch.close()
    return record


def reported(record: Record) -> tuple[float | None, str]:
    """The fraction and the words of a task's own last report."""
    report = plain(show.value(record.progress))
    fraction = report.get("fraction") if isinstance(report, dict) else None
    message = report.get("message") if isinstance(report, dict) else None
    text = printable(f"{record.task} {message or record.state}").replace("\n", " ")
    return (float(fraction) if isinstance(fraction, int | float) else None), text
