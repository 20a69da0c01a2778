"""The mailbox's contract on PostgreSQL."""

from __future__ import annotations

from typing import Final

from penstock.core.encoding import dumps, loads
from penstock.core.record import Command
from penstock.core.results import Mailbox, Watch
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.postgres import Postgres, Session

_SQL: Final = sqlfile.load("penstock.results.postgres", "mailbox.sql")
#: the topic that wakes watches: a letter came
MAIL: Final = "mail"


class PostgresMailbox(Mailbox):
    """Letters in one schema."""

    def __init__(self, driver: Postgres) -> None:
        self._driver = driver
        self._sql = driver.statements(_SQL)

    def send(self, worker: str, command: Command, seconds: float = 60.0) -> Step[None]:
        """Put a letter."""
        encoded = dumps(command, where="command")

        async def send(session: Session) -> None:
            await session.count(self._sql["send"], session.now, worker, encoded, seconds)

        return self._driver.single(send, MAIL)

    def take(self, worker: str) -> Step[list[Command]]:
        """Remove and return all letters."""

        async def take(session: Session) -> list[Command]:
            return [Command(**loads(each)) for each in await session.column(self._sql["take"], session.now, worker)]

        return self._driver.single(take)

    def watch(self, worker: str) -> Watch:
        """Wake on every letter: a wake-up too many costs a look."""
        del worker
        return self._driver.listen(MAIL)
