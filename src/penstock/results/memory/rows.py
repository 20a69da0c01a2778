"""What the store keeps: rows of records and the lines of the feed. Tables only, no contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from penstock.core.errors import LeaseLost
from penstock.core.record import Attempt, Change, LogPiece, Record
from penstock.core.states import ENDED, PENDING, STARTED
from penstock.drivers.memory import Store, Table

#: the topic that wakes watches: the feed grew
RECORDS = "records"
#: the time of a lease that was condemned
DEAD = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """A record and what only the store knows of it. The record is never handed out nor changed."""

    seq: int  #: the order of coming
    record: Record
    lease: str = ""  #: the one under which it runs
    owed: float | None = None  #: unix seconds since when the confirmation of its publish is missing

    @property
    def ended(self) -> bool:
        return self.record.state in ENDED

    def changed(self, **changes: Any) -> Row:
        return replace(self, record=msgspec.structs.replace(self.record, **changes))


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds it, and until when (unix seconds) it cannot be condemned; DEAD: it was."""

    worker: str
    until: float


class Numbers:
    """Rising numbers; those of a transaction that was undone are not given again."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


class Rows:
    """The records of a store while a step runs at `now`."""

    def __init__(self, store: Store, now: float) -> None:
        self.now = now
        self.rows: Table[str, Row] = store.table("records")
        self.leases: Table[str, Lease] = store.table("leases")
        self.feed: Table[int, Change] = store.table("changes")
        self.logs: Table[str, tuple[LogPiece, ...]] = store.table("logs")
        self._numbers = store.part("record numbers", Numbers)
        self._lines = store.part("change numbers", Numbers)

    def require(self, lease: str) -> None:
        """Raise LeaseLost unless `lease` is alive."""
        if not self.alive(lease):
            raise LeaseLost(f"the lease {lease!r} is not alive any more")

    def alive(self, lease: str) -> bool:
        found = self.leases.get(lease)
        return found is not None and found.until > DEAD

    def add(self, record: Record) -> Row:
        """A new row of a copy of `record`; the feed is the caller's to tell."""
        owed = None if record.confirmed else record.created_at
        self.rows[record.task_id] = row = Row(self._numbers.next(), deepcopy(record), owed=owed)
        return row

    def put(self, row: Row) -> None:
        self.rows[row.record.task_id] = row

    def tell(self, row: Row, state: str = "", progress: bytes | None = None) -> None:
        """Write a line of the feed."""
        record, seq = row.record, self._lines.next()
        self.feed[seq] = Change(
            seq=seq,
            at=self.now,
            task_id=record.task_id,
            task=record.task,
            queue=record.queue,
            state=state or record.state,
            worker=record.worker,
            progress=progress,
        )

    def known(self, task_ids: Iterable[str]) -> list[Row]:
        """The rows that exist, in the order of the ids, each once."""
        return [self.rows[task_id] for task_id in dict.fromkeys(task_ids) if task_id in self.rows]

    def unended(self, task_ids: Iterable[str]) -> list[Row]:
        return [row for row in self.known(task_ids) if not row.ended]

    def newest_first(self) -> list[Row]:
        return sorted(self.rows.values(), key=lambda row: -row.seq)

    def put_back(self, deliveries: Mapping[str, int], lease: str) -> None:
        """Runs under `lease` wait again, as before they began."""
        for row in self.known(deliveries):
            if row.record.state == STARTED and row.lease == lease:
                self._wait(row, deliveries=deliveries[row.record.task_id])

    def park(self, task_id: str, lease: str) -> bool:
        """A run under `lease` counts as unconfirmed from now on."""
        row = self.rows.get(task_id)
        if row is None or row.record.state != STARTED or row.lease != lease:
            return False
        owed = row.record.created_at if row.owed is None else row.owed
        self.put(replace(row.changed(confirmed=False), owed=owed))
        return True

    def lose(self, lease: str) -> None:
        """Runs under `lease` wait again, and are kept among the attempts as lost."""
        for row in sorted(self.rows.values(), key=lambda row: row.seq):
            if row.record.state == STARTED and row.lease == lease:
                self._wait(row, attempts=[*row.record.attempts, self._lost(row.record)])

    def _wait(self, row: Row, **changes: Any) -> None:
        waits = replace(row.changed(state=PENDING, started_at=None, **changes), lease="")
        self.put(waits)
        self.tell(waits)

    def _lost(self, record: Record) -> Attempt:
        return Attempt(
            number=len(record.attempts) + 1,
            state="LOST",
            worker=record.worker,
            pid=record.pid,
            started_at=record.started_at,
            finished_at=self.now,
        )


def handed_out(record: Record) -> Record:
    """A copy that is the reader's own."""
    return deepcopy(record)
