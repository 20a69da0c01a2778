"""The dead letters' contract in memory."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass

from penstock.core.cursor import position
from penstock.core.record import DeadLetter
from penstock.core.results import DeadLetters
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store, Table
from penstock.results.memory.rows import Numbers


@dataclass(frozen=True, slots=True)
class Kept:
    """A letter and the order of its coming."""

    seq: int
    letter: DeadLetter


class MemoryDeadLetters(DeadLetters):
    """Dead letters in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self._driver = driver

    def add(self, letters: Sequence[DeadLetter]) -> Step[None]:
        """Keep letters that are not kept yet."""

        def add(store: Store) -> None:
            kept, numbers = _kept(store), store.part("dead numbers", Numbers)
            for letter in letters:
                if letter.id not in kept:
                    kept[letter.id] = Kept(numbers.next(), deepcopy(letter))

        return self._driver.write(add)

    def get(self, letter_id: str) -> Step[DeadLetter | None]:
        """Read a letter."""

        def get(store: Store) -> DeadLetter | None:
            found = _kept(store).get(letter_id)
            return None if found is None else deepcopy(found.letter)

        return self._driver.read(get)

    def page(
        self, queue: str = "", reason: str = "", limit: int = 50, cursor: str | None = None
    ) -> Step[tuple[list[DeadLetter], str | None]]:
        """Letters newest first."""
        before = position(cursor)

        def page(store: Store) -> tuple[list[DeadLetter], str | None]:
            found = [kept for kept in _newest(store, queue, reason) if before is None or kept.seq < before]
            following = str(found[limit - 1].seq) if len(found) > limit else None
            return [deepcopy(kept.letter) for kept in found[:limit]], following

        return self._driver.read(page)

    def count(self, queue: str = "", reason: str = "") -> Step[int]:
        """Count letters."""
        return self._driver.read(lambda store: len(_newest(store, queue, reason)))

    def discard(self, letter_ids: Sequence[str]) -> Step[int]:
        """Delete letters."""

        def discard(store: Store) -> int:
            kept = _kept(store)
            return sum(kept.pop(letter_id, None) is not None for letter_id in letter_ids)

        return self._driver.write(discard)

    def of_task(self, task_id: str) -> Step[list[DeadLetter]]:
        """Read the letters of one task, newest first."""

        def of_task(store: Store) -> list[DeadLetter]:
            return [deepcopy(kept.letter) for kept in _newest(store) if kept.letter.task_id == task_id]

        return self._driver.read(of_task)


def _kept(store: Store) -> Table[str, Kept]:
    return store.table("dead")


def _newest(store: Store, queue: str = "", reason: str = "") -> list[Kept]:
    wanted = [
        kept
        for kept in _kept(store).values()
        if (not queue or kept.letter.queue == queue) and (not reason or kept.letter.reason == reason)
    ]
    return sorted(wanted, key=lambda kept: -kept.seq)
