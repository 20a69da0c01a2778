"""The project's app: configured by settings, in step with transactions, tidy with database connections."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, TypeVar

import django
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import close_old_connections, connections, transaction

from penstock.client.app import Penstock
from penstock.client.enlist import OPTIONS as TRANSACTIONS
from penstock.client.result import AsyncResult
from penstock.core.errors import ConfigurationError
from penstock.integrations.django.settings import ProjectSettings, read

T = TypeVar("T")


class DjangoPenstock(Penstock):
    """The app of a Django project. Inside a transaction, submissions are queued when it is committed, else never."""

    def __init__(self, project: ProjectSettings) -> None:
        super().__init__(**project.options)
        self.project = project
        self.around = _WithConnections()

    def load(self) -> None:
        """Load the project, where `penstock` and not Django itself has begun."""
        if not (apps.ready or apps.loading):
            django.setup()
            _speak()

    def submit(
        self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any], check: bool = True
    ) -> AsyncResult[Any]:
        """Check the task and its arguments at once; send it now, or when the transaction around this is committed.

        Raises SubmitError and Unavailable, for a task that waits for the commit out of the transaction's `atomic`.
        """
        if not self._waits() or TRANSACTIONS & options.keys():
            return super().submit(task, args, kwargs, options, check)
        submission = self.prepare(task, args, kwargs, options, check)
        transaction.on_commit(partial(self.send, submission), using=self.project.database)
        return self._sent(submission, options)

    def _waits(self) -> bool:
        return self.project.on_commit and transaction.get_connection(self.project.database).in_atomic_block


class _WithConnections:
    """Closes connections that are broken or too old (CONN_MAX_AGE) around tasks, as Django does around requests."""

    def run(self, work: Callable[[], T]) -> T:
        close_old_connections()
        try:
            return work()
        finally:
            close_old_connections()

    async def arun(self, work: Callable[[], Awaitable[T]]) -> T:
        await sync_to_async(close_old_connections)()
        try:
            return await work()
        finally:
            await sync_to_async(close_old_connections)()


_making = threading.Lock()


def the_app() -> DjangoPenstock:
    """The one app of this process. Raises ConfigurationError for settings that are missing or faulty."""
    try:
        with _making:
            return _made()
    except ImproperlyConfigured as error:
        raise ConfigurationError(f"Django: {error}") from error


@cache
def _made() -> DjangoPenstock:
    module = str(settings.SETTINGS_MODULE or "penstock")
    return DjangoPenstock(read(settings, module.partition(".")[0]))


def _speak() -> None:
    """Undo what a project's LOGGING, by default, does to all loggers that were there before: it silences them."""
    for name, logger in logging.root.manager.loggerDict.items():
        if name.partition(".")[0] == "penstock" and isinstance(logger, logging.Logger):
            logger.disabled = False


_inherited: list[Any] = []  # a parent's connections, in a forked child


def _forget() -> None:
    """In a forked child: what the parent has connected is the parent's, and must not even be closed here."""
    if not settings.configured:
        return
    for connection in connections.all(initialized_only=True):
        _inherited.append(connection)
        del connections[connection.alias]


os.register_at_fork(after_in_child=_forget)
