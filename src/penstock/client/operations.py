"""What people and programs do to tasks that were submitted: cancel, retry, purge, wait, replay. Over any back ends."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import msgspec

from penstock.client import letters
from penstock.client.backends import Backends
from penstock.core.arguments import Arguments
from penstock.core.broker import QueueDepth
from penstock.core.errors import Conflict, NotFound, ResultTimeout
from penstock.core.ids import new_id
from penstock.core.message import Message
from penstock.core.record import Command, Filter, Page, Record, Tally
from penstock.core.states import ENDED, PENDING, RETRY, REVOKED, STARTED
from penstock.core.step import commit, follow

_PAGE = 1000  # messages that are purged in one transaction
_MOST = 1_000_000  # at which counting stops
MOMENT = 0.04  # seconds that one request counts for
SILENCE = 1.0  # seconds after which a worker that does not answer may have the task that is to be cancelled


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
    (done,) = await _told(backends, [await _mark(backends, task_id, terminate)], terminate)
    return done


async def cancel_many(
    backends: Backends, task_ids: Sequence[str], terminate: bool = False
) -> list[Cancelled | Conflict | NotFound]:
    """Cancel tasks as `cancel` does; what came of each. However many they are, a worker is asked once."""
    # side by side, so that the driver commits them together
    outcomes = await asyncio.gather(*(_marked(backends, task_id, terminate) for task_id in task_ids))
    done = iter(await _told(backends, [each for each in outcomes if isinstance(each, _Marked)], terminate))
    return [next(done) if isinstance(each, _Marked) else each for each in outcomes]


@dataclass(frozen=True, slots=True)
class _Marked:
    """A task that is never going to (re)start, as it was before, and what became of its message."""

    record: Record
    sure: bool  #: whether the broker knows who has the message
    lease: str | None
    revoked: bool


async def _marked(backends: Backends, task_id: str, terminate: bool) -> _Marked | Conflict | NotFound:
    """Mark a task durably, then withdraw its message; or why it cannot be cancelled."""
    try:
        return await _mark(backends, task_id, terminate)
    except (Conflict, NotFound) as refusal:
        return refusal


async def _mark(backends: Backends, task_id: str, terminate: bool) -> _Marked:
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
        lambda gone: records.revoke([task_id] if gone.sure and gone.lease is None else [], reason),
        backends.results.driver,
    )
    return _Marked(record, withdrawn.sure, withdrawn.lease, revoked.get(task_id, False))


async def _told(backends: Backends, tasks: Sequence[_Marked], terminate: bool) -> list[Cancelled]:
    """Tell the workers that have these tasks, or may have them, and end those that nobody has; what came of each."""
    if not tasks:
        return []
    records = backends.results.records
    unsure = [each.record for each in tasks if not each.sure and each.record.state != STARTED]
    held = await _ask_all(backends, unsure, terminate)
    # Nobody has them: then their messages wait on, and are dropped when their turn comes.
    free = [record.task_id for record in unsure if record.task_id not in held]
    ended = await records.revoke(free, "revoked") if free else {}
    revoked = {each.record.task_id for each in tasks if each.revoked or ended.get(each.record.task_id)}
    asked = {record.task_id for record in unsure}
    await _ask_owners(backends, [each for each in tasks if each.record.task_id not in revoked | asked], terminate)
    found = await records.get([each.record.task_id for each in tasks])
    return [
        Cancelled(found.get(name, each.record), "revoked" if name in revoked else "requested")
        for each, name in ((each, each.record.task_id) for each in tasks)
    ]


async def retry(backends: Backends, task_id: str) -> Record:
    """Run a task that failed or was revoked once more, under the same id; its dead letters are gone with that.

    Raises NotFound, and Conflict in every other state.
    """
    dead = backends.results.dead
    buried = [letter.id for letter in await dead.of_task(task_id)]
    # From here on it counts as unconfirmed: should this process die now, a sweep publishes it.
    record = await backends.results.records.reopen(task_id)
    discard = [dead.discard(buried)] if buried else []
    await commit(backends.broker.publish([record.message]), backends.results.records.confirm([task_id]), *discard)
    return msgspec.structs.replace(record, confirmed=True)


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
    counted = await _counted(backends, queue)
    count = 0
    while True:
        removed, _ = await follow(
            backends.broker.purge(queue, _PAGE),
            lambda task_ids: records.revoke([task_id for task_id in task_ids if task_id], "purged"),
            backends.results.driver,
        )
        count += len(removed)
        if removed and not counted:
            await records.confirm([task_id for task_id in removed if task_id])
        if len(removed) < _PAGE:
            return count if counted else count + await _purge_delayed(backends, queue)


async def depths(backends: Backends, queues: Sequence[str] | None = None) -> list[QueueDepth]:
    """The queues that exist, by name. What the broker's server does not count is counted in the records.

    Then `claimed` are the tasks that are marked as running, and raw messages are in neither number; `ready` leaves out
    messages whose tasks were cancelled, and `oldest` is the first task that waits, or is not marked yet.
    """
    found = await backends.broker.depth(queues)
    return [await _completed(backends, depth) for depth in found]


async def _completed(backends: Backends, depth: QueueDepth) -> QueueDepth:
    records, here, now = backends.results.records, (depth.name,), time.time()
    if depth.delayed is None:
        later = Filter(states=(PENDING, RETRY), queues=here, due_after=now)
        depth = replace(depth, delayed=await records.count(later, _MOST))
    if depth.claimed is None:
        depth = replace(depth, claimed=await records.count(Filter(states=(STARTED,), queues=here), _MOST))
        if depth.ready:
            left = Filter(states=(REVOKED,), queues=here, due_by=now, unconfirmed=True)
            depth = replace(depth, ready=depth.ready - await records.count(left, depth.ready))
        if depth.ready:
            waiting = Filter(states=(PENDING,), queues=here, due_by=now)
            depth = replace(depth, oldest=await records.oldest(waiting))
    return depth


async def _counted(backends: Backends, queue: str) -> bool:
    """Whether the broker's server counts and finds everything that waits there."""
    return all(depth.delayed is not None for depth in await backends.broker.depth([queue]))


async def _purge_delayed(backends: Backends, queue: str) -> int:
    """End the tasks whose delayed messages the broker cannot find; those are dropped when they are due."""
    records = backends.results.records
    later, count = Filter(states=(PENDING, RETRY), queues=(queue,), due_after=time.time()), 0
    while found := (await page(backends, later, _PAGE)).items:
        count += sum((await records.revoke([record.task_id for record in found], "purged")).values())
    return count


async def page(backends: Backends, which: Filter, limit: int, cursor: str | None = None) -> Page:
    """A page of records that is full if so many match, however far back that has to look.

    Raises ValueError for a cursor that is not one.
    """
    found = await backends.results.records.page(which, limit, cursor)
    items = found.items
    while found.next is not None and len(items) < limit:
        found = await backends.results.records.page(which, limit - len(items), found.next)
        items += found.items
    return Page(items, found.next)


async def count(backends: Backends, which: Filter) -> int:
    """How many records match, however far a search for text has to look. A million at most."""
    if not which.text:
        return await backends.results.records.count(which, _MOST)
    return min(_MOST, (await count_on(backends, which)).number)


async def count_on(
    backends: Backends,
    which: Filter,
    cursor: str | None = None,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Tally:
    """How many records match from a cursor on, as far as they are counted in about so many seconds.

    Raises ValueError for a cursor that is not one.
    """
    deadline, number = clock() + seconds, 0
    while True:
        stretch = await backends.results.records.tally(which, cursor)
        number, cursor = number + stretch.number, stretch.next
        if cursor is None or clock() >= deadline:
            return Tally(number, cursor, stretch.reached)


async def publish(
    backends: Backends,
    queue: str,
    body: bytes,
    priority: int = 0,
    *,
    exchange: str = "",
    headers: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
) -> None:
    """Put a raw message, for a program that consumes the queue: it is no task and gets no record.

    With an `exchange` (RabbitMQ) it goes there, and `queue` is its routing key. Raises MessageTooLarge where the server
    has a limit of its own, and what Broker.post raises.
    """
    given = {
        "content_type": "application/octet-stream",
        "content_encoding": "binary",
        "delivery_mode": 2,
        "priority": priority,
        **(properties or {}),
    }
    message = Message(body, dict(headers or {}), given, queue, priority)
    await (backends.broker.post(exchange, [message]) if exchange else backends.broker.publish([message]))


async def wait(
    backends: Backends,
    task_ids: Sequence[str],
    timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Record]:
    """The records of those tasks that have ended, when all have or `timeout` seconds have passed. Nothing is polled."""
    deadline = None if timeout is None else clock() + timeout
    records = backends.results.records
    ended: dict[str, Record] = await records.ended(task_ids)
    if len(ended) == len(set(task_ids)):
        return ended
    watch = records.watch(task_ids)
    try:
        while True:
            ended |= await records.ended([task_id for task_id in task_ids if task_id not in ended])
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


async def _ask_all(backends: Backends, tasks: Sequence[Record], terminate: bool) -> set[str]:
    """Tell the workers of their queues, as the broker does not know who holds them: those that one does, or may hold.

    One that does not hold a task now and takes it later finds the mark.
    """
    if not tasks:
        return set()
    workers = await backends.results.workers.all()
    asked = [(info.name, [each.task_id for each in tasks if each.queue in info.queues]) for info in workers]
    held = await asyncio.gather(*(_ask(backends, name, mine, terminate) for name, mine in asked if mine))
    return set().union(*held)


async def _ask(backends: Backends, worker: str, task_ids: list[str], terminate: bool) -> set[str]:
    """Which of these tasks a worker has, by its answer to their cancellation; all of them if it is silent."""
    arguments = {"task_ids": task_ids, "terminate": terminate}
    try:
        answer = await letters.ask(backends, worker, "cancel", arguments, SILENCE, keep=60.0)
    except ResultTimeout:
        return set(task_ids)
    except NotFound:  # of one that is gone nothing is held any more
        return set()
    return set(task_ids) if answer["silent"] else set().union(*answer["children"].values())


async def _ask_owners(backends: Backends, tasks: Sequence[_Marked], terminate: bool) -> None:
    """Tell the workers that hold these tasks."""
    names = {lease: await backends.results.leases.owner(lease) for lease in {each.lease for each in tasks} if lease}
    owners: dict[str, list[str]] = {}
    for each in tasks:
        owner = names[each.lease] if each.lease else each.record.worker
        if owner:  # else its worker is dead: whoever takes it up finds the mark
            owners.setdefault(owner, []).append(each.record.task_id)
    for owner, task_ids in owners.items():
        letter = Command(id=new_id(), method="cancel", arguments={"task_ids": task_ids, "terminate": terminate})
        await backends.results.mailbox.send(owner, letter)
