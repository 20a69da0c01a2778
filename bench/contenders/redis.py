"""On Redis, its append-only file synced every second for everyone."""

from __future__ import annotations

import json
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


def results(url: str) -> int:
    """How many keys of a database will expire: for those who keep their results so, the results."""
    database = url.rpartition("/")[2]
    return int(client(url).info("keyspace").get(f"db{database}", {"expires": 0})["expires"])


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
    offers = frozenset((
        "send", "asend", "send_many", "worker", "workers", "cpu", "nap", "crowd", "get", "aget", "senders", "http",
        "ready", "idle", "mark", "backlog", "watch", "load",
    ))  # fmt: skip
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
        "-O fair without gossip, mingle and heartbeat; CPU likewise"
    )
    packages: ClassVar[tuple[str, ...]] = ("celery", "kombu", "redis", "hiredis")
    offers = frozenset({"send", "worker", "workers", "cpu", "get", "import", "idle", "mark", "load"})
    statement = "from celery import Celery"
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
        url = place("redis", folder)
        return results(url) - int(client(url).exists("unacked_mutex"))


class CeleryThreadsRedis(CeleryRedis):
    name = "celery-threads-redis"
    title = "Celery, threads"
    options = "as prefork, but worker --pool threads -c 8"
    offers = frozenset({"send", "worker", "get", "mark"})
    pool = "threads"

    def slots(self, load: Load) -> int:
        return load.slots or 8


class HueyRedis(OnRedis):
    name = "huey-redis"
    title = "Huey"
    options = "RedisHuey, results stored; consumer -d 0.001 -m 0.01 -n -k thread -w 4, for two processes -k process"
    packages: ClassVar[tuple[str, ...]] = ("huey", "redis")
    offers = frozenset({"send", "worker", "workers", "get", "idle", "mark"})
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


class DramatiqRedis(OnRedis):
    name = "dramatiq-redis"
    title = "Dramatiq"
    options = "results in Redis; dramatiq --processes 1 (2 for two processes) --threads 8"
    packages: ClassVar[tuple[str, ...]] = ("dramatiq", "redis", "hiredis")
    offers = frozenset({"send", "worker", "workers", "get", "mark"})
    app = "bench.apps.dramatiq_rabbitmq"  # its broker stands in the environment
    backlog = 3_000

    def python(self) -> Path:
        return peers.program("python")

    def worker(self, load: Load) -> list[str]:
        processes, threads = str(load.processes), str(load.slots or 8)
        return [str(peers.program("dramatiq")), self.app, "--processes", processes, "--threads", threads]

    def ended(self, folder: Path) -> int:
        return results(place("redis", folder))


class AsyncRedis(OnRedis):
    """A peer whose worker runs coroutines; how many at once, it reads from its environment."""

    offers = frozenset({"asend", "worker", "workers", "nap", "aget", "senders", "import", "idle", "mark"})
    backlog = 5_000

    def python(self) -> Path:
        return peers.program("python")

    @staticmethod
    def environed(load: Load, *command: str) -> list[str]:
        return ["env", f"BENCH_SLOTS={load.slots or 100}", *command]


class SaqRedis(AsyncRedis):
    name = "saq-redis"
    title = "SAQ"
    options = (
        "concurrency 100 (for naps what they ask for), jobs kept; saq --workers 1 (2 for two processes); a result is "
        "looked for each ms"
    )
    packages: ClassVar[tuple[str, ...]] = ("saq", "redis", "hiredis")
    statement = "from saq import Queue"

    def __init__(self) -> None:
        self._queued: dict[Path, int] = {}

    def worker(self, load: Load) -> list[str]:
        saq = [str(peers.program("saq")), f"{self.app}.settings", "--workers", str(load.processes), "--quiet"]
        return self.environed(load, *saq)

    def call(self, folder: Path, verb: str, **arguments: Any) -> Any:
        if verb in {"fill", "mark"}:
            self._queued[folder] = self._queued.get(folder, 0) + arguments["count"]
        return super().call(folder, verb, **arguments)

    def ended(self, folder: Path) -> int:
        """A job leaves this set when its result is written, in one transaction."""
        return self._queued[folder] - int(client(place("redis", folder)).zcard("saq:default:incomplete"))


class TaskiqRedis(AsyncRedis):
    name = "taskiq-redis"
    title = "Taskiq"
    options = (
        "RedisStreamBroker and RedisAsyncResultBackend, acknowledged when saved (its default); taskiq worker "
        "--workers 1 (2 for two processes) --max-async-tasks 100 --max-prefetch 100 --no-parse; results are waited for "
        "with check_interval=0.001"
    )
    packages: ClassVar[tuple[str, ...]] = ("taskiq", "taskiq-redis", "redis", "hiredis", "uvloop")
    statement = "from taskiq_redis import RedisStreamBroker"

    def worker(self, load: Load) -> list[str]:
        slots = str(load.slots or 100)
        taskiq = [str(peers.program("taskiq")), "worker", f"{self.app}:broker", "--workers", str(load.processes)]
        return [*taskiq, "--max-async-tasks", slots, "--max-prefetch", "100", "--no-parse", "--log-level", "WARNING"]

    def ended(self, folder: Path) -> int:
        return results(place("redis", folder))


class ArdiqRedis(AsyncRedis):
    name = "ardiq-redis"
    title = "ArdiQ (Rust)"
    options = (
        "concurrency 100 (for naps what they ask for), prefetch twice that, results kept; ardiq run --workers 1 "
        "(2 for two processes). It asks for Python 3.12; on 3.11 the type parameters are taken out of its source"
    )
    packages: ClassVar[tuple[str, ...]] = ("ardiq",)
    offers = AsyncRedis.offers | {"send_many", "cpu", "crowd", "load"}
    statement = "from ardiq import Ardiq"
    backlog = 20_000

    def worker(self, load: Load) -> list[str]:
        ardiq = [str(peers.program("ardiq")), "run", f"{self.app}:app", "--quiet", "--workers", str(load.processes)]
        return self.environed(load, *ardiq)

    def ended(self, folder: Path) -> int:
        return int(client(place("redis", folder)).zcard("ardiq:default:index:results"))


class BullmqRedis(OnRedis):
    name = "bullmq-redis"
    title = "BullMQ (Node)"
    options = (
        "ioredis, concurrency 100 (for naps what they ask for), completed jobs kept; two processes are two workers"
    )
    packages: ClassVar[tuple[str, ...]] = ()
    offers = frozenset((
        "asend", "send_many", "worker", "workers", "nap", "crowd", "aget", "senders", "idle", "mark", "load",
    ))  # fmt: skip
    app = str(Path(__file__).parents[1] / "apps" / "bullmq_redis.cjs")
    backlog = 20_000

    def lacks(self) -> str:
        try:
            peers.node()
        except peers.MissingError as error:
            return str(error)
        return ""

    def environment(self, folder: Path) -> dict[str, str]:
        return {**super().environment(folder), "NODE_PATH": str(peers.node()[1])}

    def worker(self, load: Load) -> list[str]:
        return self.command("worker", processes=load.processes, concurrency=load.slots or 100)

    def ended(self, folder: Path) -> int:
        return int(client(place("redis", folder)).zcard("bull:bench:completed"))

    def command(self, verb: str, **arguments: Any) -> list[str]:
        return [peers.node()[0], self.app, verb, json.dumps(arguments)]


class FlaskCelery(CeleryRedis):
    name = "flask-celery"
    title = "Flask, Celery"
    options = (
        "the tasks of the column of Celery; gunicorn --worker-class gthread --threads 8 --keep-alive 75, --workers 1 "
        "(2 for two processes)"
    )
    packages: ClassVar[tuple[str, ...]] = ("flask", "gunicorn", "celery", "redis", "hiredis")
    offers = frozenset({"http"})
    app = "bench.apps.celery_redis"

    def server(self, port: int, processes: int) -> list[str]:
        gunicorn = [str(peers.program("gunicorn")), "bench.apps.flask_celery:app", "--bind", f"127.0.0.1:{port}"]
        settings = ["--threads", "8", "--keep-alive", "75", "--no-control-socket"]
        return [*gunicorn, "--workers", str(processes), "--worker-class", "gthread", *settings]


class FastapiTaskiq(TaskiqRedis):
    name = "fastapi-taskiq"
    title = "FastAPI, Taskiq"
    options = "the tasks of the column of Taskiq; uvicorn with uvloop and httptools, --workers 1 (2 for two processes)"
    packages: ClassVar[tuple[str, ...]] = ("fastapi", "uvicorn", "uvloop", "httptools", "taskiq", "taskiq-redis")
    offers = frozenset({"http"})
    app = "bench.apps.taskiq_redis"

    def server(self, port: int, processes: int) -> list[str]:
        uvicorn = [str(peers.program("uvicorn")), "bench.apps.fastapi_taskiq:app", "--port", str(port)]
        quick = ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        return [*uvicorn, *quick, "--workers", str(processes)]
