"""On Redis, its append-only file synced every second for everyone."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import redis

from bench import peers
from bench.contender import Contender, Load
from bench.contenders.penstock_sqlite import PenstockSQLite
from bench.places import place


@cache
def client(url: str) -> Any:
    return redis.Redis.from_url(url)


class OnRedis(Contender):
    """A database for each measurement, emptied after it."""

    broker = "Redis"

    def environment(self, folder: Path) -> dict[str, str]:
        url = place("redis", folder)
        return {**super().environment(folder), "BENCH_URL": url, "PENSTOCK_BROKER_URL": url}

    def forget(self, folder: Path) -> None:
        client(place("redis", folder)).flushdb()


class PenstockRedis(OnRedis, PenstockSQLite):
    name = "penstock-redis"
    options = "defaults: records, results and history kept; 8 threads, 100 coroutines a process"
    packages: ClassVar[tuple[str, ...]] = ("penstock", "hiredis", "msgspec", "uvloop")
    offers = frozenset(("send", "asend", "send_many", "worker", "workers", "get", "aget", "ready", "idle"))
    app = "bench.apps.penstock_sqlite"  # its broker stands in the environment

    def ended(self, folder: Path) -> int:
        return int(client(place("redis", folder)).hget("penstock:counts", "SUCCESS") or 0)


class BareRedis(PenstockRedis):
    name = "bare-redis"
    title = "bare redis-py"
    options = (
        "the keys that Penstock writes, written by two scripts that check nothing; batches of 100, one settled and the "
        "next one claimed in one round trip of a pipeline"
    )
    packages: ClassVar[tuple[str, ...]] = ("redis", "hiredis")
    offers = frozenset({"send", "send_many", "worker"})
    app = "bench.apps.bare_redis"

    def worker(self, load: Load) -> list[str]:
        return [sys.executable, "-m", self.app, load.task]


class CeleryRedis(OnRedis):
    name = "celery-redis"
    title = "Celery, prefork"
    options = (
        "acks_late, prefetch multiplier 100, results in Redis; worker --pool prefork -c 1 (2 for two processes) "
        "-O fair without gossip, mingle and heartbeat"
    )
    packages: ClassVar[tuple[str, ...]] = ("celery", "kombu", "redis", "hiredis")
    offers = frozenset({"send", "worker", "workers", "get"})
    app = "bench.apps.celery_redis"
    backlog = 3_000
    pool: ClassVar[str] = "prefork"

    def python(self) -> Path:
        return peers.program("python")

    def worker(self, load: Load) -> list[str]:
        celery = [str(peers.program("celery")), "-A", self.app, "worker", "-O", "fair", "--loglevel", "WARNING"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [*celery, *quiet, "--pool", self.pool, "-c", str(self.slots(load))]

    def slots(self, load: Load) -> int:
        return load.processes

    def ended(self, folder: Path) -> int:
        return len(client(place("redis", folder)).keys("celery-task-meta-*"))


class CeleryThreadsRedis(CeleryRedis):
    name = "celery-threads-redis"
    title = "Celery, threads"
    options = "as prefork, but worker --pool threads -c 8"
    offers = frozenset({"send", "worker", "get"})
    pool = "threads"

    def slots(self, load: Load) -> int:
        return load.slots or 8


class HueyRedis(OnRedis):
    name = "huey-redis"
    title = "Huey"
    options = "RedisHuey, results stored; consumer -d 0.001 -m 0.01 -n -k thread -w 4, for two processes -k process"
    packages: ClassVar[tuple[str, ...]] = ("huey", "redis")
    offers = frozenset({"send", "worker", "workers", "get"})
    app = "bench.apps.huey_redis"
    backlog = 5_000

    def python(self) -> Path:
        return peers.program("python")

    def worker(self, load: Load) -> list[str]:
        kind, workers = ("process", load.processes) if load.processes > 1 else ("thread", load.slots or 4)
        consumer = [str(peers.program("huey_consumer")), f"{self.app}.huey", "-k", kind, "-w", str(workers)]
        return [*consumer, "-d", "0.001", "-m", "0.01", "-n", "-q"]

    def ended(self, folder: Path) -> int:
        return int(client(place("redis", folder)).hlen("huey.results.bench"))
