"""Penstock: a task queue. Write a function, get an HTTP API, durable queues, workers, results and history.

The public names, each imported when it is first used: `penstock --help` must not pay for what it does not need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.client.app import Penstock
    from penstock.client.result import AsyncResult
    from penstock.client.task import Task
    from penstock.core.errors import (
        ConfigurationError,
        Conflict,
        DuplicateTask,
        EncodingError,
        Ignore,
        InvalidArguments,
        InvalidOptions,
        MaxRetriesExceededError,
        MessageTooLarge,
        NotFound,
        NotRegistered,
        PenstockError,
        ProgramError,
        ProgramRefused,
        Reject,
        RemoteError,
        ResultTimeout,
        Retry,
        SoftTimeLimitExceeded,
        StorageError,
        SubmitError,
        TaskError,
        TaskIdTaken,
        TaskRevokedError,
        TimeLimitExceeded,
        Unavailable,
        UnknownTask,
        WorkerLostError,
    )

    __version__: str

__all__ = [  # noqa: RUF022 - by what they are for
    # the app
    "Penstock",
    "Task",
    "AsyncResult",
    "__version__",
    # raised inside a task
    "Ignore",
    "Reject",
    "Retry",
    "SoftTimeLimitExceeded",
    # how a task ends, as `get` raises it
    "TaskError",
    "MaxRetriesExceededError",
    "NotRegistered",
    "ProgramError",
    "ProgramRefused",
    "RemoteError",
    "ResultTimeout",
    "TaskRevokedError",
    "TimeLimitExceeded",
    "WorkerLostError",
    # refused before anything is queued
    "SubmitError",
    "EncodingError",
    "InvalidArguments",
    "InvalidOptions",
    "MessageTooLarge",
    "TaskIdTaken",
    "UnknownTask",
    # everything else that can go wrong
    "PenstockError",
    "ConfigurationError",
    "Conflict",
    "DuplicateTask",
    "NotFound",
    "StorageError",
    "Unavailable",
]

_HOMES = {
    "Penstock": "penstock.client.app",
    "Task": "penstock.client.task",
    "AsyncResult": "penstock.client.result",
}

_LATER = {"chain", "group", "chord", "signature", "Signature"}


if not TYPE_CHECKING:  # a type checker must see that a name is missing

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            found = import_module("importlib.metadata").version("penstock")
        elif name in __all__:
            found = getattr(import_module(_HOMES.get(name, "penstock.core.errors")), name)
        elif name in _LATER:  # not an AttributeError: `from penstock import chain` would hide its text
            raise ImportError(f"{name}: workflows come in a later version of Penstock")
        else:
            raise AttributeError(f"module 'penstock' has no attribute {name!r}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted(__all__)
