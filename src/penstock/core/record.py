"""A task's record and the values that change it. What is kept is decided here; where, in the result backend.

Values that users wrote (arguments, results, progress) stay encoded JSON (`bytes`) so that storing, listing and serving
them never decodes what is only passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from penstock.core.encoding import loads
from penstock.core.message import Delivery, Message
from penstock.core.states import RETRYABLE


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One run of the task that ended in a retry, a failure, or with the loss of its process."""

    number: int  #: 1 for the first
    state: str  #: RETRY, FAILURE, SUCCESS, REVOKED; "LOST" for a run whose process died
    worker: str = ""
    pid: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    #: {"exc_type", "exc_message", "exc_module"} as on the wire (celery-protocol §5.1)
    error: dict[str, Any] | None = None
    traceback: str | None = None


class Record(msgspec.Struct, kw_only=True, gc=False):
    """All that is known of one task. Times are unix seconds (UTC).

    Nothing in it leads back to it, so the collector of cycles need not know of it: thousands are made together.
    """

    task_id: str
    task: str
    state: str
    queue: str
    message: Message  #: as submitted; a retry through the API publishes it again
    created_at: float  #: to the microsecond, as it is shown: who filters by what he was shown finds it
    eta: float | None = None
    expires: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    worker: str = ""  #: name of the worker that ran it last
    pid: int = 0  #: of the process that ran it last
    retries: int = 0
    deliveries: int = 0  #: runs that are known to have begun in this attempt's message; see max_deliveries
    generation: int = 0  #: raised by each retry through the API; endings of an older generation are refused
    result: bytes | None = None  #: SUCCESS: the value; FAILURE, RETRY, REVOKED: the exception object; encoded JSON
    traceback: str | None = None
    progress: bytes | None = None  #: encoded JSON: {"fraction": 0.4, "message": "resizing", …}
    children: list[str] = msgspec.field(default_factory=list)  #: ids of tasks that this one submitted
    attempts: list[Attempt] = msgspec.field(default_factory=list)  #: those before the last; `history` adds the last
    cancel: str = ""  #: "" or why it shall not (re)start: "revoked", "terminated"
    confirmed: bool = True  #: its publish is known to have been confirmed; False only between two servers
    submitter: str = ""  #: lease of the submitter that owes the confirmation

    def history(self) -> list[Attempt]:
        """Every attempt, the last or running one included, oldest first."""
        if self.started_at is None and self.finished_at is None:
            return list(self.attempts)
        last = Attempt(
            number=len(self.attempts) + 1,
            state=self.state,
            worker=self.worker,
            pid=self.pid,
            started_at=self.started_at,
            finished_at=self.finished_at,
            error=self._failure(),
            traceback=self.traceback,
        )
        # after a retry decision the run is already among the attempts
        return list(self.attempts) if self.state == "RETRY" else [*self.attempts, last]

    def _failure(self) -> dict[str, Any] | None:
        """The exception object that the last run ended with."""
        if self.state not in RETRYABLE or self.result is None:
            return None
        found = loads(self.result)
        return found if isinstance(found, dict) else None


@dataclass(slots=True, kw_only=True)
class Start:
    """A run begins: state STARTED. `deliveries` is the count including this run."""

    delivery: Delivery
    worker: str
    pid: int
    started_at: float
    deliveries: int


class Ending(msgspec.Struct, kw_only=True):
    """A run ended: SUCCESS, FAILURE, REVOKED, or RETRY (then `eta` is the time of the next one).

    It names the delivery, so that a task which was unknown until now (sent by a foreign producer) gets its record here.
    """

    delivery: Delivery
    state: str
    finished_at: float
    worker: str
    pid: int
    started_at: float | None = None
    result: bytes | None = None
    traceback: str | None = None
    children: Sequence[str] = ()
    eta: float | None = None
    retries: int = 0  #: of the attempt that ended; a RETRY raises the record's count to retries + 1
    attempt: Attempt | None = None  #: with RETRY: the run to keep among the attempts
    deliveries: int = 0  #: the count to keep if it is higher than the record's (exhausted deliveries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records: every given field must match. Empty sequences match nothing given, i.e. everything."""

    states: Sequence[str] = ()
    tasks: Sequence[str] = ()
    queues: Sequence[str] = ()
    workers: Sequence[str] = ()
    text: str = ""  #: part of the arguments, result or id, case-insensitive for ASCII
    since: float | None = None  #: created at or after, unix seconds
    until: float | None = None  #: created before, unix seconds
    due_after: float | None = None  #: not to run before a time (`eta`) that is later than this, unix seconds
    due_by: float | None = None  #: free to run at this time: without an `eta`, or with one that is not later
    unconfirmed: bool = False  #: only those that are unconfirmed (Records.confirm)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of records, newest first. `next` is an opaque cursor, None at the end."""

    items: list[Record]
    next: str | None
    #: of a page that leads on although it is not full: when the oldest record looked at was created
    reached: float | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many records of a stretch match, and the cursor that leads on to the next stretch, None at the end."""

    number: int
    next: str | None
    reached: float | None = None  #: when the last record of the stretch was created, None at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One line of the feed: a task changed its state or its progress."""

    seq: int  #: strictly rising in the order of commits
    at: float
    task_id: str
    task: str
    queue: str
    state: str  #: the new state; "PROGRESS" for a progress report, "LOG" where there are new log lines
    worker: str = ""
    progress: bytes | None = None


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Some lines that a task wrote one after the other, as they are kept: in one piece."""

    task_id: str
    number: int  #: rises in the order of writing (unix nanoseconds): no other piece of the task has it
    lines: bytes  #: encoded JSON: [{"at", "level", "logger", "text", "attempt"}, …]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What a stretch of the feed says about some tasks."""

    changes: list[Change]  #: the lines that are about them, oldest first
    upto: int  #: where to read on: the number of the last line of the stretch; where it is empty, of the one before it
    lines: int  #: how many lines the stretch has, whomever they are about


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that nobody will run again by itself."""

    id: str
    queue: str
    reason: str  #: short and countable: "WorkerLostError", "undecodable", "content-type", "rejected", "unsupported" …
    detail: str  #: for people: what exactly was wrong
    message: Message
    died_at: float
    task_id: str = ""
    task: str = ""
    deliveries: int = 0


@dataclass(slots=True, kw_only=True)
class WorkerInfo:
    """A live worker as it registered itself, and its last report."""

    name: str  #: `name@host`, unique among live workers
    host: str
    pid: int  #: of the supervisor
    started_at: float
    queues: list[str]
    processes: int
    threads: int
    concurrency: int
    version: str
    tasks: dict[str, dict[str, Any]]  #: task name → JSON Schema of its arguments by name
    #: last report: {"children": [{"pid", "lease", "running": [...]}], …}
    status: dict[str, Any] = field(default_factory=dict)
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A letter in a worker's mailbox."""

    id: str
    method: str  #: "cancel", "ping", "stacks", "shutdown"
    arguments: dict[str, Any] = field(default_factory=dict)
