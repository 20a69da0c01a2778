"""The log lines' contract on Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.core.record import LogPiece
from penstock.core.results import Logs
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import MOST, Answer, Transaction
from penstock.drivers.redis.wire import Argument


class RedisLogs(Logs):
    """Log lines in one database of a Redis server."""

    def __init__(self, driver: Redis) -> None:
        self._driver = driver

    def add(self, pieces: Sequence[LogPiece], keep: int, *, tell: bool) -> Step[list[str]]:
        """Keep pieces of tasks that have a record."""
        ids = [piece.task_id for piece in pieces]
        given: list[Argument] = []
        for piece in pieces:
            given += (piece.task_id, str(piece.number), piece.lines)

        def work(transaction: Transaction) -> Answer:
            most = MOST // 3 * 3
            places = [
                transaction.do("log", keep, int(tell), *given[first : first + most])
                for first in range(0, len(given), most)
            ]

            def answer(replies: list[Any]) -> list[str]:
                known = [there for place in places for there in replies[place]]
                return list(dict.fromkeys(each for each, there in zip(ids, known, strict=True) if not there))

            return answer

        return self._driver.step(work)

    def of_task(self, task_id: str) -> Step[list[LogPiece]]:
        """Read the pieces of one task."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("log_of", task_id)
            return lambda replies: [_piece(task_id, each) for each in replies[place]]

        return self._driver.step(work)


def _piece(task_id: str, kept: bytes) -> LogPiece:
    number, _, lines = kept.partition(b" ")
    return LogPiece(task_id, int(number), lines)
