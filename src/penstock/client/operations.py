"""What people and programs do to tasks that were submitted: cancel, retry, purge, wait, replay. Over any back ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from penstock.client.backends import Backends
from penstock.core.arguments import Arguments
from penstock.core.errors import Conflict, NotFound
from penstock.core.ids import new_id
from penstock.core.message import Message
from penstock.core.record import Command, Record
from penstock.core.states import ENDED, STARTED
from penstock.core.step import commit, follow

_PAGE = 1000  # messages that are purged in one transaction


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What came of a cancellation."""

    record: Record
    outcome: Literal["revoked", "requested"]  #: ended here, or its worker was asked


class _Named(Protocol):
    @property
    def arguments(self) -> Arguments: ...


class _App(Protocol):
    """What `known_tasks` reads of an app."""

    @property
    def tasks(self) -> Mapping[str, _Named]: ...


async def cancel(backends: Backends, task_id: str, terminate: bool = False) -> Cancelled:
    """Cancel a task: one that waits is revoked now; of one that a worker holds, its worker is asked.

    The mark that keeps it from ever (re)starting is durable before anything else happens, so a crash in between leaves
    a task that is going to be revoked, never a lost one. Raises NotFound; Conflict for a task that has ended, and for
    a running one without `terminate`.
    """
    records = backends.results.records
    record = await _find(backends, task_id)
    _refuse(task_id, record.state)
    if record.state == STARTED and not terminate:
        raise Conflict(f"task {task_id} is running; terminate=true stops it", STARTED)
    reason = "terminated" if record.state == STARTED else "revoked"
    _refuse(task_id, (await records.cancel([task_id], reason)).get(task_id, ""))
    # No message in the broker and no claim: whatever still turns up is stopped by the check before the run.
    withdrawn, revoked = await follow(
        backends.broker.withdraw(task_id),
        lambda gone: records.revoke([task_id] if gone.lease is None else [], reason),
        backends.results.driver,
    )
    done = revoked.get(task_id, False)
    if not done:
        await _ask_owner(backends, record, withdrawn.lease, terminate)
    found = (await records.get([task_id])).get(task_id, record)
    return Cancelled(found, "revoked" if done else "requested")


async def retry(backends: Backends, task_id: str) -> Record:
    """Run a task that failed or was revoked once more, under the same id; its dead letters are gone with that.

    Raises NotFound, and Conflict in every other state.
    """
    dead = backends.results.dead
    letters = [letter.id for letter in await dead.of_task(task_id)]
    # From here on it counts as unconfirmed: should this process die now, a sweep publishes it.
    record = await backends.results.records.reopen(task_id)
    discard = [dead.discard(letters)] if letters else []
    await commit(backends.broker.publish([record.message]), backends.results.records.confirm([task_id]), *discard)
    return replace(record, confirmed=True)


async def replay(backends: Backends, letter_id: str) -> Record | None:
    """Give a dead letter another chance: the retry of its task, or the bare message again if there is no record.

    Returns the task's record, None without one. Raises NotFound, and Conflict if the task has not failed.
    """
    dead = backends.results.dead
    letter = await dead.get(letter_id)
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id!r}")
    if letter.task_id and await backends.results.records.get([letter.task_id]):
        return await retry(backends, letter.task_id)
    # Publish first: a crash in between leaves the letter and the message, not neither.
    await commit(backends.broker.publish([replace(letter.message, due=None)]), dead.discard([letter_id]))
    return None


async def purge(backends: Backends, queue: str) -> int:
    """Remove every waiting message of a queue, delayed ones too; their tasks end REVOKED "purged". Returns how many."""
    records = backends.results.records
    count = 0
    while True:
        removed, _ = await follow(
            backends.broker.purge(queue, _PAGE),
            lambda task_ids: records.revoke([task_id for task_id in task_ids if task_id], "purged"),
            backends.results.driver,
        )
        count += len(removed)
        if len(removed) < _PAGE:
            return count


async def publish(backends: Backends, queue: str, body: bytes, priority: int = 0) -> None:
    """Put a raw message, for a program that consumes the queue: it is no task and gets no record.

    Raises MessageTooLarge where the server has a limit of its own.
    """
    properties = {
        "content_type": "application/octet-stream",
        "content_encoding": "binary",
        "delivery_mode": 2,
        "priority": priority,
    }
    await backends.broker.publish([Message(body, {}, properties, queue, priority)])


async def wait(
    backends: Backends,
    task_ids: Sequence[str],
    timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Record]:
    """The records of those tasks that have ended, when all have or `timeout` seconds have passed. Nothing is polled."""
    deadline = None if timeout is None else clock() + timeout
    ended: dict[str, Record] = await _ended(backends, task_ids)
    if len(ended) == len(set(task_ids)):
        return ended
    watch = backends.results.records.watch(task_ids)
    try:
        while True:
            ended |= await _ended(backends, [task_id for task_id in task_ids if task_id not in ended])
            left = None if deadline is None else deadline - clock()
            if len(ended) == len(set(task_ids)) or (left is not None and left <= 0):
                return ended
            await watch.wait(left)
    finally:
        await watch.close()


async def known_tasks(app: _App, backends: Backends) -> dict[str, dict[str, Any]]:
    """JSON Schemas of the arguments by name: the tasks of this app, and those of live workers."""
    known: dict[str, dict[str, Any]] = {}
    for worker in await backends.results.workers.all():
        known |= worker.tasks
    return known | {name: task.arguments.schema() for name, task in app.tasks.items()}


async def _find(backends: Backends, task_id: str) -> Record:
    found = await backends.results.records.get([task_id])
    if task_id not in found:
        raise NotFound(f"there is no task {task_id!r}")
    return found[task_id]


def _refuse(task_id: str, state: str) -> None:
    if not state:
        raise NotFound(f"there is no task {task_id!r} any more")
    if state in ENDED:
        raise Conflict(f"task {task_id} has ended: {state}", state)


async def _ask_owner(backends: Backends, record: Record, lease: str | None, terminate: bool) -> None:
    owner = await backends.results.leases.owner(lease) if lease else record.worker
    if owner:  # else its worker is dead: whoever takes it up finds the mark
        letter = Command(id=new_id(), method="cancel", arguments={"task_id": record.task_id, "terminate": terminate})
        await backends.results.mailbox.send(owner, letter)


async def _ended(backends: Backends, task_ids: Sequence[str]) -> dict[str, Record]:
    records = backends.results.records
    standing = await records.check(task_ids)
    ended = [task_id for task_id, each in standing.items() if each.state in ENDED]
    return dict(await records.get(ended)) if ended else {}
