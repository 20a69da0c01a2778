"""The mailbox's contract on Redis."""

from __future__ import annotations

from typing import Any

from penstock.core.encoding import dumps, loads
from penstock.core.record import Command
from penstock.core.results import Mailbox, Watch
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import Answer, Transaction


class RedisMailbox(Mailbox):
    """Letters in one database of a Redis server."""

    def __init__(self, driver: Redis) -> None:
        self._driver = driver

    def send(self, worker: str, command: Command, seconds: float = 60.0) -> Step[None]:
        """Put a letter."""
        encoded = dumps(command, where="command")

        def work(transaction: Transaction) -> Answer:
            transaction.do("send", worker, encoded, seconds)
            transaction.wake(self._driver.channel(f"mail.{worker}"))
            return lambda _: None

        return self._driver.step(work)

    def take(self, worker: str) -> Step[list[Command]]:
        """Remove and return all letters."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("take", worker)

            def answer(replies: list[Any]) -> list[Command]:
                return [Command(**loads(letter)) for letter in replies[place]]

            return answer

        return self._driver.step(work)

    def watch(self, worker: str) -> Watch:
        """Wake when a letter comes."""
        return self._driver.listen(f"mail.{worker}")
