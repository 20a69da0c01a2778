"""What PostgreSQL and the network answer, as errors of core. Pure."""

from __future__ import annotations

import ssl
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from penstock.core.errors import ConfigurationError, PenstockError, StorageError, Unavailable

#: SQLSTATE, or its class (two characters) → what it means for people; these pass by themselves
_PASSING: Final = {
    "57P01": "it is shutting down",
    "57P02": "one of its processes crashed, and it starts anew",
    "57P03": "it is starting or shutting down",
    "57014": "a statement took too long",
    "53300": "it has no connection left; raise its max_connections, or lower pool_size",
    "53": "it is out of memory or disk",
    "55P03": "a lock was not to be had in time",
    "40": "others changed the same rows at the same time",
    "08": "the connection broke",
    "25P03": "a transaction stood still for too long",
    "58": "its disk reports an error",
}
#: these need somebody
_UNUSABLE: Final = {
    "25006": "it is read-only; name the primary",
    "42501": "the login may not do this; grant it CREATE on the database, or all rights on the schema",
    "42P01": "a table is missing; restart with this version to have it made anew",
    "XX001": "its data is damaged",
    "XX002": "an index is damaged",
}
_SETUP: Final = {
    "28": "the login is refused",
    "3D000": "the database does not exist",
}
#: the prepared statement is not there, or there already: it was made on another server connection
_STRANGER: Final = frozenset({"26000", "42P05", "08P01"})
#: try the transaction again: deadlock, serialisation
AGAIN: Final = frozenset({"40P01", "40001"})
#: a lock was not to be had within lock_timeout
BUSY: Final = frozenset({"55P03"})

POOLED: Final = (
    "a pooler hands each transaction to another server connection; LISTEN and prepared statements need a session: "
    "connect to PostgreSQL itself, or set pool_mode = session in PgBouncer"
)


def code(error: BaseException) -> str:
    """The SQLSTATE; "" for what is not an answer of the server."""
    found = getattr(error, "sqlstate", None)
    return found if isinstance(found, str) else ""


def translated(error: BaseException, shown: str, *, unsent: bool = False) -> BaseException:
    """The error of core that this one stands for; others as they are. `unsent`: nothing of it can have been applied."""
    if isinstance(error, PenstockError):
        return error
    state = code(error)
    ours: PenstockError
    if state and (what := _found(_SETUP, state)):
        ours = ConfigurationError(f"{shown}: {what}: {error}")
    elif state and (what := _found(_PASSING, state)):
        ours = Unavailable(f"{shown}: {what} ({error})", unsent=unsent)
    elif state in _STRANGER:
        ours = ConfigurationError(f"{shown}: {POOLED} ({error})")
    elif state and (what := _found(_UNUSABLE, state)):
        ours = StorageError(f"{shown}: {what} ({error})")
    elif isinstance(error, asyncpg.PostgresError):
        ours = StorageError(f"{shown}: {error}")
    elif isinstance(error, ssl.SSLError):
        ours = ConfigurationError(f"{shown}: TLS failed: {error}")
    elif isinstance(error, (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        what = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        ours = Unavailable(f"{shown} cannot be reached: {what}", unsent=unsent)
    else:
        return error
    ours.__cause__ = error
    return ours


def _found(table: dict[str, str], state: str) -> str:
    return table.get(state) or table.get(state[:2], "")
