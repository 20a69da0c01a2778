"""The workers' contract on Redis: the hash `workers`, a JSON object for each name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from penstock.core.encoding import dumps, loads
from penstock.core.errors import Conflict
from penstock.core.record import WorkerInfo
from penstock.core.results import Workers
from penstock.core.step import Step
from penstock.drivers.redis import Redis
from penstock.drivers.redis.transaction import Answer, Transaction


class RedisWorkers(Workers):
    """The register in one database of a Redis server."""

    def __init__(self, driver: Redis) -> None:
        self._driver = driver
        self._key = _key(driver.keys)

    def register(self, info: WorkerInfo, seconds: float) -> Step[None]:
        """Appear, or replace one's own entry."""
        dumps(info.status, where="status")  # it shall be said here what cannot be written

        async def work(transaction: Transaction) -> Answer:
            found = await self._entry(transaction, info.name)
            now = transaction.now
            if found is not None and found["info"]["pid"] != info.pid and found["until"] > now:
                raise Conflict(f"another live worker is named {info.name!r}")
            entry = {"info": replace(info, status={}), "status": info.status, "seen": now, "until": now + seconds}
            transaction.write(dumps(entry, where="worker"), self._key, info.name)
            return lambda _: None

        return self._driver.step(work)

    def report(self, name: str, status: Mapping[str, object], seconds: float) -> Step[bool]:
        """Replace the status and live on."""

        async def work(transaction: Transaction) -> Answer:
            found = await self._entry(transaction, name)
            now = transaction.now
            if found is None or found["until"] <= now:
                return lambda _: False
            entry = {**found, "status": status, "seen": now, "until": now + seconds}
            transaction.write(dumps(entry, where="status"), self._key, name)
            return lambda _: True

        return self._driver.step(work)

    def leave(self, name: str) -> Step[None]:
        """Disappear."""

        def work(transaction: Transaction) -> Answer:
            transaction.do("call", "HDEL", self._key, name)
            return lambda _: None

        return self._driver.step(work)

    def all(self) -> Step[list[WorkerInfo]]:
        """Live workers by name."""

        async def work(transaction: Transaction) -> Answer:
            found = sorted((await _entries(transaction, self._key)).items())
            live = [_info(entry) for _, entry in found if entry["until"] > transaction.now]
            return lambda _: live

        return self._driver.step(work)

    async def _entry(self, transaction: Transaction, name: str) -> dict[str, Any] | None:
        await transaction.load([(self._key, name)])
        raw = transaction.read(self._key, name)
        return None if raw is None else loads(raw)


async def sweep(transaction: Transaction, keys: str, limit: int) -> int:
    """Delete the entries of those who were silent for too long."""
    found = await _entries(transaction, _key(keys))
    names = [name for name, entry in found.items() if entry["until"] <= transaction.now][:limit]
    await transaction.load([(_key(keys), name) for name in names])
    for name in names:
        transaction.write(None, _key(keys), name)
    return len(names)


def _key(keys: str) -> str:
    return f"{keys}workers"


async def _entries(transaction: Transaction, key: str) -> dict[str, dict[str, Any]]:
    (pairs,) = await transaction.ask(("HGETALL", key))
    return {name.decode(): loads(raw) for name, raw in _pairs(pairs)}


def _pairs(flat: Sequence[bytes]) -> list[tuple[bytes, bytes]]:
    return list(zip(flat[::2], flat[1::2], strict=True))


def _info(entry: Mapping[str, Any]) -> WorkerInfo:
    return WorkerInfo(**{**entry["info"], "status": entry["status"], "seen_at": entry["seen"]})
