"""Runs begin and end: what `start` and `finish` do to the rows."""

from __future__ import annotations

from dataclasses import replace

from msgspec.structs import replace as changed

from penstock.core.lifecycle import adopted, generation_of
from penstock.core.message import Delivery
from penstock.core.record import Ending, Record, Start
from penstock.core.states import RETRY, STARTED
from penstock.results.memory.rows import Row, Rows


def start(rows: Rows, begins: Start, lease: str) -> bool:
    """Mark a run and charge its delivery; False where it must not begin."""
    row = _met(rows, begins.delivery, begins.started_at)
    if row is None or row.record.cancel:
        return False
    record = changed(
        row.record,
        state=STARTED,
        started_at=begins.started_at,
        worker=begins.worker,
        pid=begins.pid,
        deliveries=max(row.record.deliveries, begins.deliveries),
        result=None,
        traceback=None,
        progress=None,
        confirmed=True,
    )
    _put(rows, Row(row.seq, record, lease))
    return True


def finish(rows: Rows, ends: Ending) -> bool:
    """Write how a run ended; False where an ending or a later generation is there."""
    row = _met(rows, ends.delivery, ends.started_at or ends.finished_at)
    if row is None:
        return False
    record = changed(
        row.record,
        state=ends.state,
        worker=ends.worker,
        pid=ends.pid,
        result=ends.result,
        traceback=ends.traceback,
        children=[*row.record.children, *ends.children],
        confirmed=True,
    )
    _put(rows, Row(row.seq, _again(record, ends) if ends.state == RETRY else _done(record, ends)))
    return True


def _again(record: Record, ends: Ending) -> Record:
    return changed(
        record,
        retries=max(record.retries, ends.retries + 1),
        deliveries=0,
        eta=ends.eta,
        started_at=None,
        progress=None,
        attempts=[*record.attempts, *([replace(ends.attempt)] if ends.attempt else [])],
    )


def _done(record: Record, ends: Ending) -> Record:
    return changed(
        record,
        started_at=record.started_at if ends.started_at is None else ends.started_at,
        finished_at=ends.finished_at,
        deliveries=max(record.deliveries, ends.deliveries),
    )


def _met(rows: Rows, delivery: Delivery, at: float) -> Row | None:
    """The row of a delivery, made if there is none; None if it has ended or is of a later generation."""
    row = rows.rows.get(delivery.message.task_id)
    if row is None:
        return rows.add(adopted(delivery, at))
    return None if row.ended or row.record.generation > generation_of(delivery) else row


def _put(rows: Rows, row: Row) -> None:
    rows.put(row)
    rows.tell(row)
