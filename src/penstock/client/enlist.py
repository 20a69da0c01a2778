"""Submitting in step with a transaction of the caller's: as part of it (`connection`), or after it (`on_commit`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from importlib import import_module
from typing import Any, Final

from penstock.client.backends import Backends
from penstock.client.submit import Submission, Submitter
from penstock.core.errors import ConfigurationError, InvalidOptions

#: the options of a submission that name a transaction
OPTIONS: Final = frozenset({"connection", "on_commit"})
#: under which a session of SQLAlchemy keeps what waits for its commit
_PENDING: Final = "penstock.pending"


def parted(options: Mapping[str, Any]) -> tuple[dict[str, Any], Any, Any]:
    """The options for the task, the connection, and whose commit to wait for. Raises InvalidOptions for both."""
    rest = dict(options)
    connection, session = rest.pop("connection", None), rest.pop("on_commit", None)
    if connection is not None and session is not None:
        raise InvalidOptions({"on_commit": "give either connection or on_commit"})
    return rest, connection, session


async def opened(submitter: Submitter) -> Backends:
    """The back ends of an app, opened."""
    return submitter.backends


def within(backends: Backends, submission: Submission, connection: Any) -> Awaitable[None] | None:
    """Write record and message on a connection of the caller's; to be awaited where that is asynchronous."""
    if not backends.shared:
        raise ConfigurationError(
            f"records and messages are in two places ({backends.urls}), so they cannot be part of one transaction; "
            "leave PENSTOCK_RESULT_BACKEND out, or give on_commit=… instead"
        )
    steps = (
        backends.results.records.create([submission.record]),
        backends.broker.publish([submission.message]),
    )
    return backends.broker.driver.enlist(steps, connection)


def within_now(backends: Backends, submission: Submission, connection: Any) -> None:
    """As `within`, for plain code. Raises ConfigurationError for an asynchronous connection."""
    doing = within(backends, submission, connection)
    if doing is not None:
        assert isinstance(doing, Coroutine)
        doing.close()
        raise ConfigurationError("the connection is asynchronous: await task.aapply_async(…) instead")


def after(session: Any, send: Callable[[], None]) -> None:
    """Have `send` called once the transaction that is open on `session` is committed, and never if it is not.

    `session`: SQLAlchemy's Session or AsyncSession, Django's connection (or its alias). Without an open transaction it
    is called now, as Django does it.
    """
    family = type(session).__module__.partition(".")[0]
    if isinstance(session, str) or family == "django":
        alias = session if isinstance(session, str) else session.alias
        import_module("django.db.transaction").on_commit(send, using=alias)
    elif hasattr(session, "begin_nested") and hasattr(session, "info"):
        _after_session(getattr(session, "sync_session", session), send)
    else:
        raise ConfigurationError(
            f"on_commit={type(session).__name__}: expected SQLAlchemy's Session or AsyncSession, or Django's connection"
        )


def _after_session(session: Any, send: Callable[[], None]) -> None:
    if hasattr(session, "registry"):  # a scoped one
        session = session()
    if not session.in_transaction():
        session.begin()
    pending = session.info.get(_PENDING)
    if pending is None:
        pending = session.info[_PENDING] = _Pending(session)
    pending.add(session, send)


class _Pending:
    """What is to be done after the commit of a session of SQLAlchemy; savepoints count."""

    def __init__(self, session: Any) -> None:
        self._waiting: list[tuple[Callable[[], None], list[Any]]] = []
        events = import_module("sqlalchemy.event")
        events.listen(session, "after_commit", self._committed)
        events.listen(session, "after_soft_rollback", self._undone)

    def add(self, session: Any, send: Callable[[], None]) -> None:
        """Keep it with the savepoints and the transaction that it was said in."""
        around = []
        inner = session.get_nested_transaction() or session.get_transaction()
        while inner is not None:
            around.append(inner)
            inner = inner.parent
        self._waiting.append((send, around))

    def _committed(self, session: Any) -> None:
        if session.in_nested_transaction():
            return
        waiting, self._waiting = self._waiting, []
        failed = []
        for send, _ in waiting:
            try:
                send()
            except Exception as error:  # the others are committed, too: each has its try
                failed.append(error)
        if len(failed) == 1:
            raise failed[0]
        if failed:
            raise ExceptionGroup(f"{len(failed)} of {len(waiting)} tasks of this transaction were not queued", failed)

    def _undone(self, session: Any, transaction: Any) -> None:
        del session
        self._waiting = [each for each in self._waiting if transaction not in each[1]]
