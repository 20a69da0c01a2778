"""The mailbox's contract in memory."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from penstock.core.record import Command
from penstock.core.results import Mailbox, Watch
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store, Table
from penstock.results.memory.rows import Numbers

#: the topic that wakes watches: a letter came
MAIL = "mail"


@dataclass(frozen=True, slots=True)
class Letter:
    """A command on its way to a worker, to be read until then (unix seconds)."""

    worker: str
    command: Command
    until: float


def letters(store: Store) -> Table[int, Letter]:
    return store.table("letters")


class MemoryMailbox(Mailbox):
    """Letters in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self._driver = driver

    def send(self, worker: str, command: Command, seconds: float = 60.0) -> Step[None]:
        """Put a letter."""

        def send(store: Store) -> None:
            number = store.part("letter numbers", Numbers).next()
            letters(store)[number] = Letter(worker, deepcopy(command), self._driver.clock() + seconds)

        return self._driver.write(send, MAIL)

    def take(self, worker: str) -> Step[list[Command]]:
        """Remove and return all letters."""

        def take(store: Store) -> list[Command]:
            now, mine = self._driver.clock(), letters(store)
            taken = [mine.pop(number) for number in sorted(mine) if mine[number].worker == worker]
            return [letter.command for letter in taken if letter.until > now]

        return self._driver.write(take)

    def watch(self, worker: str) -> Watch:
        """Wake on every letter: a wake-up too many costs a look."""
        del worker
        return self._driver.listen(MAIL)
