"""The dead letters' contract on Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from penstock.core.cursor import position
from penstock.core.encoding import dumps, loads
from penstock.core.record import DeadLetter
from penstock.core.results import DeadLetters
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import MOST, Answer, Transaction
from penstock.results.redis.rows import message_blob, message_in

#: what is kept of a letter beside its message, in the order in which it is stored
_PLAIN: Final = ("id", "queue", "reason", "detail", "died_at", "task_id", "task", "deliveries")
#: letters looked at in one call
_PORTION = 1000


class RedisDeadLetters(DeadLetters):
    """Dead letters in one database of a Redis server."""

    def __init__(self, driver: Redis) -> None:
        self._driver = driver

    def add(self, letters: Sequence[DeadLetter]) -> Step[None]:
        """Keep letters that are not kept yet."""
        given = [
            value
            for letter in letters
            for value in (letter.id, letter.task_id, dumps([letter.queue, letter.reason]), _blob(letter))
        ]

        def work(transaction: Transaction) -> Answer:
            for first in range(0, len(given), MOST):
                transaction.do("bury", *given[first : first + MOST])
            return lambda _: None

        return self._driver.step(work)

    def get(self, letter_id: str) -> Step[DeadLetter | None]:
        """Read a letter."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("letters", letter_id)
            return lambda replies: next(iter(_letters(replies[place])), None)

        return self._driver.step(work)

    def page(
        self, queue: str = "", reason: str = "", limit: int = 50, cursor: str | None = None
    ) -> Step[tuple[list[DeadLetter], str | None]]:
        """Letters newest first."""
        before = position(cursor)

        async def work(transaction: Transaction) -> Answer:
            del transaction
            found = await self._walk(queue, reason, limit + 1, before)
            letters = await self._read([letter_id for letter_id, _ in found[:limit]])
            following = str(found[limit - 1][1]) if len(found) > limit else None
            return lambda _: (letters, following)

        return self._driver.step(work)

    def count(self, queue: str = "", reason: str = "") -> Step[int]:
        """Count letters; all of them without a walk."""

        async def work(transaction: Transaction) -> Answer:
            if not (queue or reason):
                place = transaction.do("ask", "ZCARD", f"{self._driver.keys}dead")
                return lambda replies: replies[place]
            number = len(await self._walk(queue, reason))
            return lambda _: number

        return self._driver.step(work)

    def discard(self, letter_ids: Sequence[str]) -> Step[int]:
        """Delete letters."""
        ids = list(dict.fromkeys(letter_ids))

        async def work(transaction: Transaction) -> Answer:
            tasks = {letter.id: letter.task_id for letter in await self._read(ids)}
            given = [value for pair in tasks.items() for value in pair]
            places = [
                transaction.do("letters_discard", *given[first : first + MOST]) for first in range(0, len(given), MOST)
            ]
            return lambda replies: sum(replies[place] for place in places)

        return self._driver.step(work)

    def of_task(self, task_id: str) -> Step[list[DeadLetter]]:
        """Read the letters of one task, newest first."""

        def work(transaction: Transaction) -> Answer:
            place = transaction.do("letters_of", task_id)
            return lambda replies: _letters(replies[place])

        return self._driver.step(work)

    async def _walk(
        self, queue: str, reason: str, limit: float = float("inf"), before: int | None = None
    ) -> list[tuple[str, int]]:
        """Id and number of those that match, newest first."""
        found: list[tuple[str, int]] = []
        below: str | int = "+inf" if before is None else before
        while len(found) < limit:

            def work(transaction: Transaction, below: str | int = below) -> Answer:
                place = transaction.do("letters_page", below, _PORTION)
                return lambda replies: replies[place]

            rows, kinds = await self._driver.step(work)
            for at, kind in enumerate(kinds):
                its_queue, its_reason = loads(kind)
                if queue in ("", its_queue) and reason in ("", its_reason):
                    found.append((rows[2 * at].decode(), int(rows[2 * at + 1])))
            if len(kinds) < _PORTION:
                break
            below = int(rows[-1])
        return found if limit == float("inf") else found[: int(limit)]

    async def _read(self, ids: Sequence[str]) -> list[DeadLetter]:
        def work(transaction: Transaction) -> Answer:
            places = [transaction.do("letters", *ids[first : first + MOST]) for first in range(0, len(ids), MOST)]
            return lambda replies: [letter for place in places for letter in _letters(replies[place])]

        found: list[DeadLetter] = await self._driver.step(work)
        return found


def _blob(letter: DeadLetter) -> bytes:
    plain = dumps([getattr(letter, name) for name in _PLAIN])
    return b"%d\n%b%b" % (len(plain), plain, message_blob(letter.message))


def _letters(blobs: Sequence[bytes | None]) -> list[DeadLetter]:
    return [_letter(blob) for blob in blobs if blob]


def _letter(blob: bytes) -> DeadLetter:
    length, _, rest = blob.partition(b"\n")
    given: dict[str, Any] = dict(zip(_PLAIN, loads(rest[: int(length)]), strict=True))
    return DeadLetter(message=message_in(rest[int(length) :], given["queue"]), **given)
