"""The result-backend contracts: small ones, each with one concern, all on one driver.

Every method that touches the server returns a Step (core.step), so that a record and its message can be committed
together where they share a server. "Alive" and "lapsed" are judged by the server's clock only (for a file: the host's).
Implementations live in penstock.results and pass penstock.testing.conformance whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence

from penstock.core.message import Standing
from penstock.core.record import (
    Change,
    Command,
    DeadLetter,
    Ending,
    Excerpt,
    Filter,
    LogPiece,
    Page,
    Record,
    Start,
    Tally,
    WorkerInfo,
)
from penstock.core.schedule import Schedule, ScheduleEntry
from penstock.core.step import Driver, Step


class Watch(ABC):
    """Wakes whoever waits for tasks to change. Wake-ups may be spurious; none is missed from the watch's making on."""

    @abstractmethod
    async def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something watched may have changed (True) or `timeout` seconds have passed (False)."""

    @abstractmethod
    async def close(self) -> None:
        """Stop watching. Closing twice is fine."""


class Records(ABC):
    """Each task's record: state, result, attempts. An ending is never overwritten."""

    @abstractmethod
    def create(self, records: Sequence[Record]) -> Step[None]:
        """Write new records; all or none. Raises TaskIdTaken naming the first id that exists already.

        A record of the same submitter (not "") and `created_at` is this very submission, written by an earlier try
        whose answer got lost: it is not taken and stays as it is.
        """

    @abstractmethod
    def get(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """The records that exist, by id."""

    @abstractmethod
    def ended(self, task_ids: Sequence[str]) -> Step[dict[str, Record]]:
        """The records of those that have ended, by id: what one who waits for results asks, and asks again."""

    @abstractmethod
    def check(self, task_ids: Sequence[str]) -> Step[dict[str, Standing]]:
        """The standing of those that exist, by id: the cheap question before a run."""

    @abstractmethod
    def start(self, starts: Sequence[Start], lease: str) -> Step[list[bool]]:
        """Mark runs STARTED and charge their deliveries; unknown tasks get a record.

        False where the record has ended, is marked cancelled or is of a later generation: that run must not begin.
        Raises LeaseLost if `lease` is not alive.
        """

    @abstractmethod
    def finish(self, endings: Sequence[Ending], lease: str) -> Step[list[bool]]:
        """Write how runs ended; unknown tasks get a record. False where an ending or a later generation is there.

        RETRY keeps the attempt, raises `retries`, clears `deliveries`, and sets `eta`.
        Raises LeaseLost if `lease` is not alive.
        """

    @abstractmethod
    def progress(self, reports: Mapping[str, bytes], lease: str) -> Step[None]:
        """Set the progress of running tasks, by id; ended and unknown ones are passed over.

        Raises LeaseLost if `lease` is not alive.
        """

    @abstractmethod
    def charge(self, deliveries: Mapping[str, int]) -> Step[None]:
        """Raise the delivery counts of tasks whose process died to at least these, by id; ended ones are passed by."""

    @abstractmethod
    def park(self, task_ids: Sequence[str], lease: str) -> Step[list[bool]]:
        """The messages of these runs, STARTED under `lease`, are about to leave the broker: the records stand for them.

        They count as unconfirmed, so that a sweep publishes what the lease's end leaves waiting; the next `start`, an
        ending or a confirmation clears that. False for those that do not run under `lease`.

        Raises LeaseLost if `lease` is not alive.
        """

    @abstractmethod
    def put_back(self, deliveries: Mapping[str, int], lease: str) -> Step[None]:
        """Runs that had begun under `lease` are handed back unfinished: they wait again.

        STARTED becomes PENDING, `started_at` is cleared, no attempt is kept, and the delivery counts are set to these,
        those of before the run. Others are passed over.

        Raises LeaseLost if `lease` is not alive.
        """

    @abstractmethod
    def cancel(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, str]]:
        """Mark unended records so that they never (re)start, durably; return the state each known id was found in.

        They count as unconfirmed from then on: should their message be withdrawn and the revocation after it get lost,
        a sweep publishes it again, and the check before the run ends the task.
        """

    @abstractmethod
    def revoke(self, task_ids: Sequence[str], reason: str) -> Step[dict[str, bool]]:
        """End waiting records (PENDING, RECEIVED, RETRY) as REVOKED, TaskRevokedError(reason): True where done."""

    @abstractmethod
    def reopen(self, task_id: str) -> Step[Record]:
        """Begin the next generation of an ended task.

        PENDING, no result, retries and deliveries 0, the old run kept among the attempts. Returns the record with
        the message to publish (its `penstock_generation` header raised, `eta` and `expires` dropped). It counts as
        unconfirmed until `confirm`, so that a publish that never comes is made up for; its age counts from now.

        Raises NotFound, and Conflict unless the state is FAILURE or REVOKED.
        """

    @abstractmethod
    def forget(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete ended records; return how many. Unended ones are passed over."""

    @abstractmethod
    def discard(self, task_ids: Sequence[str]) -> Step[int]:
        """Delete records that are PENDING and unconfirmed: their publish provably sent nothing."""

    @abstractmethod
    def confirm(self, task_ids: Sequence[str]) -> Step[None]:
        """Mark publishes as confirmed.

        An ended task that is unconfirmed was cancelled where its message could not be found: it may still wait.
        """

    @abstractmethod
    def unconfirmed(self, older: float, limit: int) -> Step[list[Record]]:
        """Waiting records without a confirmation, created at least `older` seconds ago: to be published again."""

    @abstractmethod
    def page(self, which: Filter, limit: int, cursor: str | None = None) -> Step[Page]:
        """Records newest first.

        A walk by cursor sees every record that was there at its start once, and none twice, while tasks arrive.
        Where more than states is asked for, no more than a stretch is looked at: the page leads on although it is not
        full, even empty, and tells how far back it has looked. A stretch is `search.AT_ONCE` records for a text, else
        `search.FAR` of each state that is asked for, or fewer where they stand among others. Raises ValueError for a
        cursor that is not one.
        """

    @abstractmethod
    def tally(self, which: Filter, cursor: str | None = None) -> Step[Tally]:
        """How many match of the stretch of records that begins at this cursor.

        Raises ValueError for a cursor that is not one.
        """

    @abstractmethod
    def count(self, which: Filter, at_most: int = 1_000_000) -> Step[int]:
        """How many records match; counting stops at `at_most`.

        Raises ValueError for a search for text: that is counted by `tally`, stretch by stretch.
        """

    @abstractmethod
    def oldest(self, which: Filter) -> Step[float | None]:
        """When the first record that matches was created, in the order of coming; None if none does."""

    @abstractmethod
    def expired(self, limit: int) -> Step[list[str]]:
        """Ids of waiting records whose `expires` has passed."""

    @abstractmethod
    def prune(self, older: float, keep: int, limit: int = 1000) -> Step[int]:
        """Delete at most `limit` records that ended more than `older` seconds ago.

        Also those beyond the `keep` newest endings that are at least an hour old. Dead letters are not touched.
        Call again until it returns fewer than `limit`.
        """

    @abstractmethod
    def changes(self, after: int | None, limit: int = 1000) -> Step[list[Change]]:
        """The feed after a sequence number, oldest first; `after=None`: the newest line only (where the feed stands).

        Kept for an hour at least. PENDING (submission), STARTED, RETRY, progress, log lines and endings appear.
        """

    @abstractmethod
    def excerpt(self, task_ids: Collection[str], after: int, limit: int = 1000) -> Step[Excerpt]:
        """What the next `limit` lines of the feed say about some tasks, which may be many.

        The back end sorts the others' lines out: they cost their reader next to nothing.
        """

    @abstractmethod
    def watch(self, task_ids: Sequence[str] | None = None) -> Watch:
        """Watch some tasks, or the whole feed (None)."""


class Logs(ABC):
    """The last lines that tasks wrote. They are kept as long as the records, and go with them."""

    @abstractmethod
    def add(self, pieces: Sequence[LogPiece], keep: int, *, tell: bool) -> Step[list[str]]:
        """Keep pieces, those already there passed over; return the ids of tasks that have no record: nothing is kept.

        Of each task's pieces the newest stay that have at most `keep` bytes together, and the newest in any case.
        `tell`: the feed says that there is something new ("LOG").
        """

    @abstractmethod
    def of_task(self, task_id: str) -> Step[list[LogPiece]]:
        """What is kept of one task, oldest first."""


class Leases(ABC):
    """Who may hold claims.

    A lease is alive from its opening until it is condemned or closed. Running out of time does not kill it: that only
    allows others to condemn it. So a store that stood still, or was away, is not held against those who could not renew
    meanwhile, and a claim is taken over in one atomic act that a renewal either precedes or meets. Condemned ones are
    dead for ever.
    """

    @abstractmethod
    def open(self, lease: str, worker: str, seconds: float) -> Step[None]:
        """Take out a lease for a child process of `worker`; one that is alive is prolonged.

        Raises LeaseLost for one that was condemned.
        """

    @abstractmethod
    def renew(self, leases: Sequence[str], seconds: float) -> Step[list[str]]:
        """Prolong those that are alive, also where their time has run out; return those that are not alive."""

    @abstractmethod
    def owner(self, lease: str) -> Step[str | None]:
        """The worker's name if the lease is alive."""

    @abstractmethod
    def lapsed(self, ahead: float = 0.0) -> Step[list[str]]:
        """Leases that will have run out in `ahead` seconds and are not closed; condemned ones are among them."""

    @abstractmethod
    def condemn(self, leases: Sequence[str]) -> Step[list[str]]:
        """Declare dead those of `leases` that have run out; return those that are dead now, earlier ones included.

        Their claims are to be released, then they are closed.
        """

    @abstractmethod
    def close(self, leases: Sequence[str]) -> Step[None]:
        """Forget leases: writes that name them are refused from now on.

        Records still STARTED under them wait again: PENDING, `started_at` cleared, the lost run kept among the attempts
        (state "LOST").
        """


class Workers(ABC):
    """Who is there."""

    @abstractmethod
    def register(self, info: WorkerInfo, seconds: float) -> Step[None]:
        """Appear, or replace one's own entry (same name and pid). Raises Conflict if another live worker has it."""

    @abstractmethod
    def report(self, name: str, status: Mapping[str, object], seconds: float) -> Step[bool]:
        """Replace the status and live on for `seconds`; False if the entry is gone (register again)."""

    @abstractmethod
    def leave(self, name: str) -> Step[None]:
        """Disappear."""

    @abstractmethod
    def all(self) -> Step[list[WorkerInfo]]:
        """Live workers by name."""


class Mailbox(ABC):
    """Letters to workers: cancel, ping, stacks, shutdown."""

    @abstractmethod
    def send(self, worker: str, command: Command, seconds: float = 60.0) -> Step[None]:
        """Put a letter; it is thrown away unread after `seconds`."""

    @abstractmethod
    def take(self, worker: str) -> Step[list[Command]]:
        """Remove and return all letters, oldest first."""

    @abstractmethod
    def watch(self, worker: str) -> Watch:
        """Wakes when a letter may have come."""


class DeadLetters(ABC):
    """Messages that nobody will run again by themselves."""

    @abstractmethod
    def add(self, letters: Sequence[DeadLetter]) -> Step[None]:
        """Keep letters; one whose id exists already is passed over (a second try of the same write)."""

    @abstractmethod
    def get(self, letter_id: str) -> Step[DeadLetter | None]: ...

    @abstractmethod
    def page(
        self, queue: str = "", reason: str = "", limit: int = 50, cursor: str | None = None
    ) -> Step[tuple[list[DeadLetter], str | None]]:
        """Newest first, with the next cursor. Raises ValueError for a cursor that is not one."""

    @abstractmethod
    def count(self, queue: str = "", reason: str = "") -> Step[int]: ...

    @abstractmethod
    def discard(self, letter_ids: Sequence[str]) -> Step[int]:
        """Delete letters; return how many were there."""

    @abstractmethod
    def of_task(self, task_id: str) -> Step[list[DeadLetter]]:
        """The letters of one task."""


class Keys(ABC):
    """Small values with a time to live: locks, idempotency keys, answers to letters."""

    @abstractmethod
    def put(self, key: str, value: bytes, seconds: float) -> Step[None]: ...

    @abstractmethod
    def add(self, key: str, value: bytes, seconds: float) -> Step[bytes | None]:
        """Put if absent (None), else return what is there."""

    @abstractmethod
    def swap(self, key: str, old: bytes, new: bytes, seconds: float) -> Step[bool]:
        """Replace if the value is still `old`."""

    @abstractmethod
    def get(self, key: str) -> Step[bytes | None]: ...

    @abstractmethod
    def delete(self, key: str) -> Step[None]: ...

    @abstractmethod
    def lock(self, name: str, owner: str, seconds: float) -> Step[bool]:
        """Take or prolong a lock: True if `owner` holds it now."""

    @abstractmethod
    def unlock(self, name: str, owner: str) -> Step[None]: ...

    @abstractmethod
    def sweep(self, limit: int = 10_000) -> Step[int]:
        """Delete what has outlived its time (keys, locks, letters, workers, the feed's tail); return how many rows.

        At most `limit` of each kind: call again until it returns fewer than `limit`. A store that gives room back
        to the file system piece by piece does so here, and returns `limit` while there is more.
        """


class Schedules(ABC):
    """When which task is due next, shared by every scheduler; a due time is advanced once, by comparing."""

    @abstractmethod
    def sync(self, app: str, schedules: Sequence[Schedule]) -> Step[None]:
        """Make the entries of `app` what its code says.

        New ones get their first due time, changed ones a new one, paused ones stay paused, those that the code no
        longer has disappear. A name belongs to the app that declared it last.
        """

    @abstractmethod
    def all(self) -> Step[list[ScheduleEntry]]:
        """Every entry by name."""

    @abstractmethod
    def due(self, apps: Sequence[str]) -> Step[tuple[list[ScheduleEntry], float | None]]:
        """The entries of `apps` that are due and not paused, and the earliest due time of the others (unix seconds)."""

    @abstractmethod
    def advance(self, name: str, due: float, next_due: float, task_id: str = "") -> Step[bool]:
        """Move an entry on from `due` to `next_due`; False if somebody else did. `task_id`: what was fired, if any."""

    @abstractmethod
    def pause(self, name: str, paused: bool) -> Step[bool]:
        """Pause or resume; a resumed entry gets its first due time from now. False if there is none of that name."""

    @abstractmethod
    def watch(self) -> Watch:
        """Wakes when an entry may have been declared, changed, paused or resumed, so that sleeping schedulers look."""


class ResultBackend(ABC):
    """The contracts together, on one driver."""

    driver: Driver
    records: Records
    logs: Logs
    leases: Leases
    workers: Workers
    mailbox: Mailbox
    dead: DeadLetters
    keys: Keys
    schedules: Schedules

    async def open(self) -> None:
        """Connect and prepare. Opening twice is fine."""
        await self.driver.open()

    async def close(self) -> None:
        """Let go of every resource. Closing twice is fine."""
        await self.driver.close()

    @abstractmethod
    def ping(self) -> Step[None]:
        """Answer if a record can be written now. Raises Unavailable or StorageError."""
