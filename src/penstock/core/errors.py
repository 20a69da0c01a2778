"""Every error that Penstock raises, in one tree.

PenstockError
├── ConfigurationError        a setting, URL or option is wrong; lists every fault at once
│   └── DuplicateTask         two tasks of one name
├── SubmitError               refused before anything was queued
│   ├── UnknownTask           no task of that name; carries near matches
│   ├── InvalidArguments      arguments do not fit the task's signature; carries the faults by field
│   ├── InvalidOptions        an option of the submission is wrong
│   ├── EncodingError         a value cannot travel as JSON
│   ├── MessageTooLarge       the body is over the limit
│   └── TaskIdTaken           a record with this task_id exists
├── DecodingError             bytes from outside are not what they claim to be
│   └── BadMessage            a message that no worker can run; it becomes a dead letter
├── Unavailable               a server or file cannot be used now; trying again later may help
├── StorageError              the store answered, but is unusable: corrupt, read-only, wrong version
├── LeaseLost                 the lease that an ending names is no longer alive; the ending is refused
├── Conflict                  the task's state does not allow the operation
├── NotFound                  no record of that id
└── TaskError                 how a task can end, as its caller sees it
    ├── ResultTimeout         get() waited long enough
    ├── TaskRevokedError      cancelled, expired or terminated
    ├── WorkerLostError       the worker died under it, again and again
    ├── TimeLimitExceeded     its hard time limit
    ├── SoftTimeLimitExceeded raised inside the task at its soft limit
    ├── MaxRetriesExceededError
    ├── NotRegistered         no worker knows the task
    ├── ProgramError          a program ended with an exit code that is not 0, by a signal, or could not be started
    │   └── ProgramRefused    with exit code 65: these arguments will never do; it is not retried
    └── RemoteError           stand-in for an exception class that is not importable here

Control flow, raised inside a task: Retry, Ignore, Reject.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class PenstockError(Exception):
    """The root of all errors raised by Penstock.

    Where many tasks are submitted together, `index` is the place of the one that was refused, None if it is of no
    single one, and `accepted` are the task_ids that were queued before the error.
    """

    index: int | None = None
    accepted: Sequence[str] = ()


class ConfigurationError(PenstockError):
    """A setting, URL or option is wrong. `faults` lists every fault found, one line each."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class DuplicateTask(ConfigurationError):
    """A second task of the same name was registered; the message names both places."""


class SubmitError(PenstockError):
    """A submission was refused; nothing was queued."""


class UnknownTask(SubmitError):
    """No task of that name is registered here or by a live worker."""

    def __init__(self, name: str, near: Sequence[str] = ()) -> None:
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        super().__init__(f"unknown task {name!r}{hint}")
        self.name = name
        self.near = tuple(near)


class InvalidArguments(SubmitError):
    """The arguments do not fit the task's signature.

    `faults` maps the field (a parameter's name, or a path below it such as `order.items[2].price`) to what is wrong.
    """

    def __init__(self, task: str, faults: Mapping[str, str]) -> None:
        super().__init__(f"{task}: " + "; ".join(f"{field}: {fault}" for field, fault in faults.items()))
        self.task = task
        self.faults = dict(faults)


class InvalidOptions(SubmitError):
    """An option of the submission is unknown or has a value that cannot be used. `faults` maps option to fault."""

    def __init__(self, faults: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{option}: {fault}" for option, fault in faults.items()))
        self.faults = dict(faults)


class EncodingError(SubmitError):
    """A value cannot travel as JSON (NaN, a set, a lone surrogate, an unknown class).

    `path` says where it stands (`args[0].items[2]`), `reason` what is wrong with it.
    """

    def __init__(self, reason: str, path: str = "") -> None:
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.path = path


class MessageTooLarge(SubmitError):
    """The encoded body is larger than the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"the message body has {size} bytes, the limit is {limit}")
        self.size = size
        self.limit = limit


class TaskIdTaken(SubmitError):
    """A record with this task_id exists already."""

    def __init__(self, task_id: str) -> None:
        super().__init__(f"task_id {task_id!r} is taken")
        self.task_id = task_id


class DecodingError(PenstockError):
    """Bytes from outside are not valid: malformed JSON, nested too deep, a wrong typed form."""


class BadMessage(DecodingError):
    """A message that no worker can run. It is kept as a dead letter.

    `reason` is short and countable, as in DeadLetter.reason: "undecodable", "content-type" or "compression".
    """

    def __init__(self, detail: str, reason: str = "undecodable") -> None:
        super().__init__(detail)
        self.reason = reason


class Unavailable(PenstockError):
    """A server or file cannot be used now. `retry_after` is a hint in seconds.

    `unsent` is True only where provably nothing reached the server, e.g. because no connection could be made.
    """

    def __init__(self, message: str, retry_after: float = 1.0, unsent: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.unsent = unsent


class StorageError(PenstockError):
    """The store answered but cannot be used: corrupt, read-only, of an unknown version, on a network file system."""


class LeaseLost(PenstockError):
    """The lease that a write names is not alive any more; nothing of that write was applied."""


class Conflict(PenstockError):
    """The task's state does not allow the operation. `state` is the state found."""

    def __init__(self, message: str, state: str = "") -> None:
        super().__init__(message)
        self.state = state


class NotFound(PenstockError):
    """No record, dead letter, queue or worker of that name."""


class TaskError(PenstockError):
    """How a task can end, as its caller sees it. `wire_module` is the module that Celery clients know the class by."""

    wire_module = "celery.exceptions"


class ResultTimeout(TaskError, TimeoutError):
    """The result did not arrive in time; the task goes on."""


class TaskRevokedError(TaskError):
    """The task was cancelled ("revoked"), expired or terminated before it could end by itself."""


class WorkerLostError(TaskError):
    """The process that ran the task died, as often as `max_deliveries` allows."""

    wire_module = "billiard.exceptions"


class TimeLimitExceeded(TaskError):
    """The task ran longer than its hard `time_limit` (seconds)."""

    wire_module = "billiard.exceptions"


class SoftTimeLimitExceeded(TaskError):
    """Raised inside the task when its `soft_time_limit` (seconds) has passed."""

    wire_module = "billiard.exceptions"


class MaxRetriesExceededError(TaskError):
    """`self.retry()` was called more often than `max_retries` allows, without an exception to give up with."""


class NotRegistered(TaskError):
    """The worker that took the message does not know the task."""


class ProgramError(TaskError):
    """A program did not do its work: the message tells its exit code or signal and the end of its STDERR."""

    wire_module = "penstock.core.errors"


class ProgramRefused(ProgramError):
    """A program ended with exit code 65 (EX_DATAERR): its input is wrong, and no retry will change that."""


class RemoteError(TaskError):
    """Stands in for an exception whose class cannot be imported here; `exc_type` and `exc_module` name it."""

    def __init__(self, *args: Any, exc_type: str = "", exc_module: str = "") -> None:
        super().__init__(*args)
        self.exc_type = exc_type
        self.exc_module = exc_module

    def __str__(self) -> str:
        return f"{self.exc_type}: {super().__str__()}" if self.exc_type else super().__str__()


class Retry(PenstockError):
    """Raised by `self.retry()`: run the task again after `delay` seconds (None: the task's own backoff).

    `max_retries` overrides the task's own (None: it does not); `body` is the message's body for the next attempt
    where the arguments are to change (None: they do not).
    """

    def __init__(
        self,
        delay: float | None = None,
        cause: BaseException | None = None,
        max_retries: int | None = None,
        body: bytes | None = None,
    ) -> None:
        super().__init__(f"retry in {delay} s" if delay is not None else "retry")
        self.delay = delay
        self.cause = cause
        self.max_retries = max_retries
        self.body = body


class Ignore(PenstockError):
    """Raised inside a task: end it now; the state it set itself stays."""


class Reject(PenstockError):
    """Raised inside a task: give the message back (`requeue`) or keep it as a dead letter."""

    def __init__(self, reason: str = "rejected", requeue: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.requeue = requeue
