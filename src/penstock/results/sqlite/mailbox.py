"""The mailbox's contract on SQLite."""

from __future__ import annotations

import sqlite3

from penstock.core.encoding import dumps, loads
from penstock.core.record import Command
from penstock.core.results import Mailbox, Watch
from penstock.core.step import Step
from penstock.drivers import sqlfile
from penstock.drivers.sqlite import SQLite

SQL = sqlfile.load("penstock.results.sqlite", "mailbox.sql")
#: the topic that wakes watches: a letter came
MAIL = "mail"


class SQLiteMailbox(Mailbox):
    """Letters in one SQLite file."""

    def __init__(self, driver: SQLite) -> None:
        self._driver = driver

    def send(self, worker: str, command: Command, seconds: float = 60.0) -> Step[None]:
        """Put a letter."""
        encoded = dumps(command, where="command")

        def send(connection: sqlite3.Connection) -> None:
            connection.execute(SQL["send"], (worker, self._driver.clock() + seconds, encoded))

        return self._driver.write(send, MAIL)

    def take(self, worker: str) -> Step[list[Command]]:
        """Remove and return all letters."""

        def take(connection: sqlite3.Connection) -> list[Command]:
            rows = connection.execute(SQL["waiting"], (worker, self._driver.clock())).fetchall()
            connection.execute(SQL["remove"], (worker,))
            return [Command(**loads(command)) for (command,) in rows]

        return self._driver.write(take)

    def watch(self, worker: str) -> Watch:
        """Wake on every letter: a wake-up too many costs a look."""
        del worker
        return self._driver.listen(MAIL)
