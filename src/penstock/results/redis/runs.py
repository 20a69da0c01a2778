"""Runs begin and end: the steps that a worker's batches consist of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from penstock.core import answers
from penstock.core.encoding import dumps
from penstock.core.errors import LeaseLost
from penstock.core.lifecycle import adopted, generation_of
from penstock.core.message import Delivery
from penstock.core.record import Ending, Record, Start
from penstock.core.states import RETRY
from penstock.drivers.redis.transaction import MOST, Answer, Transaction
from penstock.drivers.redis.wire import Argument
from penstock.results.redis.rows import fields_of, message_blob

#: arguments of one run that ended
_ENDING = 10


def require(transaction: Transaction, lease: str) -> None:
    """Nothing at all happens unless the lease is alive."""
    transaction.guard("alive", lease, refused=lambda _: LeaseLost(f"the lease {lease!r} is not alive any more"))


def create(transaction: Transaction, records: Iterable[Record], *, told: bool = True) -> None:
    """Write records that are not there yet."""
    arguments: list[Argument] = []
    for record in records:
        fields = fields_of(record)
        arguments += (record.task_id, message_blob(record.message), len(fields) // 2, *fields)
        if len(arguments) > MOST:
            transaction.do("create", int(told), *arguments)
            arguments = []
    if arguments:
        transaction.do("create", int(told), *arguments)


def adopt(transaction: Transaction, met: Sequence[tuple[Delivery, float]], strangers: Collection[str]) -> None:
    """Give those that nobody recorded a record; the others must have one.

    Whom nobody recorded is known from the check before the run. If that was wrong, the commit is refused, and all are
    offered a record.
    """
    careful = transaction.careful
    given = [adopted(*each) for each in met if careful or each[0].message.task_id in strangers]
    create(transaction, given, told=False)
    if not careful:
        known = [each[0].message.task_id for each in met if each[0].message.task_id not in strangers]
        for first in range(0, len(known), MOST):
            transaction.guard("known", *known[first : first + MOST])


def start(transaction: Transaction, starts: Sequence[Start], lease: str, seconds: int) -> Answer:
    """Mark runs and charge their deliveries."""
    places = []
    for each in starts:
        message = each.delivery.message
        arguments = (message.task_id, generation_of(each.delivery), repr(float(each.started_at)), each.deliveries)
        places.append(transaction.do("start", lease, each.worker, each.pid, seconds, *arguments, answers.started(each)))
    return lambda replies: [replies[place][0] == 1 for place in places]


def finish(transaction: Transaction, endings: Sequence[Ending], seconds: int) -> Answer:
    """Write how runs ended."""
    places: list[tuple[int, int]] = []
    batch: list[Argument] = []
    head: tuple[Argument, ...] = ()
    waiting = 0

    def flush() -> None:
        nonlocal waiting
        if batch:
            place = transaction.do("finish", *head, *batch)
            places.extend((place, index) for index in range(waiting))
            batch.clear()
            waiting = 0

    for ends in endings:
        if ends.state == RETRY:
            flush()
            places.append((transaction.do("retry", *_retry(ends, seconds)), -1))
            continue
        wanted = (ends.worker, ends.pid, seconds)
        if wanted != head or len(batch) >= MOST:
            flush()
            head = wanted
        batch += _ending(ends)
        waiting += 1
    flush()
    return lambda replies: [_done(replies[place], index) for place, index in places]


def _done(reply: Any, index: int) -> bool:
    return bool((reply if index < 0 else reply[index]) == 1)


def _ending(ends: Ending) -> tuple[Argument, ...]:
    return (
        ends.delivery.message.task_id,
        generation_of(ends.delivery),
        ends.state,
        repr(float(ends.finished_at)),
        "" if ends.started_at is None else repr(float(ends.started_at)),
        ends.result or b"",
        ends.traceback or "",
        ends.deliveries,
        _inner(ends.children),
        answers.ended(ends),
    )


def _retry(ends: Ending, seconds: int) -> tuple[Argument, ...]:
    return (
        ends.worker,
        ends.pid,
        seconds,
        ends.delivery.message.task_id,
        generation_of(ends.delivery),
        ends.retries + 1,
        "" if ends.eta is None else repr(float(ends.eta)),
        ends.result or b"",
        ends.traceback or "",
        b"" if ends.attempt is None else dumps(ends.attempt),
        _inner(ends.children),
        answers.ended(ends),
    )


def _inner(children: Sequence[str]) -> bytes:
    """Some items of a JSON array, without its brackets."""
    return dumps(list(children))[1:-1] if children else b""
