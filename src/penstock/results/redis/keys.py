"""The keys' contract on Redis, and the sweep of what has a time to live and is not forgotten by the server itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.core.results import Keys
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import Answer, Transaction
from penstock.drivers.redis.wire import Argument
from penstock.results.redis import workers


class RedisKeys(Keys):
    """Keys and locks in one database of a Redis server."""

    def __init__(self, driver: Redis) -> None:
        self._driver = driver

    def put(self, key: str, value: bytes, seconds: float) -> Step[None]:
        """Keep a value."""
        return self._step("key_put", key, value, seconds)

    def add(self, key: str, value: bytes, seconds: float) -> Step[bytes | None]:
        """Keep a value where none is."""
        return self._step("key_add", key, value, seconds)

    def swap(self, key: str, old: bytes, new: bytes, seconds: float) -> Step[bool]:
        """Replace what is as expected."""
        return self._step("key_swap", key, old, new, seconds, read=bool)

    def get(self, key: str) -> Step[bytes | None]:
        """Read a value."""
        return self._step("key_get", key)

    def delete(self, key: str) -> Step[None]:
        """Forget a value."""
        return self._step("key_delete", key)

    def lock(self, name: str, owner: str, seconds: float) -> Step[bool]:
        """Take or prolong a lock."""
        return self._step("lock", name, owner, seconds, read=bool)

    def unlock(self, name: str, owner: str) -> Step[None]:
        """Give up one's own lock."""
        return self._step("unlock", name, owner)

    def sweep(self, limit: int = 10_000) -> Step[int]:
        """Delete what has outlived its time."""

        async def work(transaction: Transaction) -> Answer:
            silent = await workers.sweep(transaction, self._driver.keys, limit)
            places = [transaction.do(name, limit) for name in ("sweep_locks", "sweep_feed")]
            return lambda replies: silent + sum(replies[place] for place in places)

        return self._driver.step(work)

    def _step(self, name: str, *arguments: Argument, read: Callable[[Any], Any] = lambda found: found) -> Step[Any]:
        def work(transaction: Transaction) -> Answer:
            place = transaction.do(name, *arguments)
            return lambda replies: read(replies[place])

        return self._driver.step(work)
