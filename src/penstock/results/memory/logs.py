"""The log lines' contract in memory."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.core.record import LogPiece
from penstock.core.results import Logs
from penstock.core.step import Step
from penstock.drivers.memory import Memory, Store
from penstock.results.memory.rows import RECORDS, Rows


class MemoryLogs(Logs):
    """Log lines in one store of this process."""

    def __init__(self, driver: Memory) -> None:
        self._driver = driver

    def add(self, pieces: Sequence[LogPiece], keep: int, *, tell: bool) -> Step[list[str]]:
        """Keep pieces of tasks that have a record."""

        def add(store: Store) -> list[str]:
            rows = Rows(store, self._driver.clock())
            for piece in pieces:
                if piece.task_id in rows.rows:
                    kept = {each.number: each for each in rows.logs.get(piece.task_id, ())}
                    kept.setdefault(piece.number, piece)
                    rows.logs[piece.task_id] = _newest(kept, keep)
            known = rows.known(piece.task_id for piece in pieces)
            for row in known if tell else ():
                rows.tell(row, "LOG")
            there = {row.record.task_id for row in known}
            return [task_id for task_id in dict.fromkeys(piece.task_id for piece in pieces) if task_id not in there]

        return self._driver.write(add, RECORDS) if tell else self._driver.write(add)

    def of_task(self, task_id: str) -> Step[list[LogPiece]]:
        """Read the pieces of one task."""
        return self._driver.read(lambda store: list(Rows(store, 0.0).logs.get(task_id, ())))


def _newest(pieces: dict[int, LogPiece], keep: int) -> tuple[LogPiece, ...]:
    left = keep
    found: list[LogPiece] = []
    for number in sorted(pieces, reverse=True):
        left -= len(pieces[number].lines)
        if found and left < 0:
            break
        found.append(pieces[number])
    return tuple(reversed(found))
