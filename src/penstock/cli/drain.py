"""`penstock worker --drain`: has the workers of this host finish and waits; for an orchestrator's preStop hook."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterable

import click

from penstock.cli import session
from penstock.cli.session import Session
from penstock.core.errors import NotFound, Unavailable
from penstock.core.ids import new_id
from penstock.core.record import Command, WorkerInfo
from penstock.worker.options import full_name

LOOK = 0.2  #: seconds between two looks at who is still there
SLACK = 10.0  #: seconds beyond the grace within which a worker that finishes has gone

Being = tuple[str, float]  #: a worker's name and when it was started: another one may take the name


def drain(app_path: str | None, name: str | None, grace: float | None) -> int:
    """Ask, wait, tell who has gone. Raises NotFound for a name that is not alive here, Unavailable if one stays."""
    name = full_name(name, socket.gethostname()) if name else None
    session.run(app_path, lambda opened: _drain(opened, name, grace))
    return 0


async def _drain(opened: Session, name: str | None, grace: float | None) -> None:
    asked = await _here(opened, name)
    if not asked and name:
        raise NotFound(f"no worker {name!r} on {socket.gethostname()} is alive")
    for worker in asked:
        await opened.backends.results.mailbox.send(worker.name, Command(id=new_id(), method="shutdown"))
    left = {_being(worker) for worker in asked}
    deadline = time.monotonic() + (opened.app.settings.grace if grace is None else grace) + SLACK
    while left:
        await asyncio.sleep(LOOK)
        there = {_being(worker) for worker in await _here(opened, name)}
        for gone, _ in sorted(left - there):
            click.echo(f"{gone} has finished")
        left &= there
        if left and time.monotonic() > deadline:
            raise Unavailable(f"still there: {', '.join(_names(left))}")
    if not asked:
        click.echo(f"no worker on {socket.gethostname()} is alive")


async def _here(opened: Session, name: str | None) -> list[WorkerInfo]:
    workers = await opened.backends.results.workers.all()
    return [each for each in workers if each.host == socket.gethostname() and name in {None, each.name}]


def _being(worker: WorkerInfo) -> Being:
    return worker.name, worker.started_at


def _names(beings: Iterable[Being]) -> list[str]:
    return sorted(name for name, _ in beings)
