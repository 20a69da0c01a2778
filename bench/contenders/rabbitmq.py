"""On RabbitMQ, publishes confirmed and queues durable for everyone, results in Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from bench import peers
from bench.contender import Contender, Load
from bench.contenders.penstock_sqlite import PenstockSQLite
from bench.contenders.redis import CeleryRedis, DramatiqRedis, TaskiqRedis, client
from bench.places import place


class OnRabbitMQ(Contender):
    """A virtual host for each measurement, and a database of Redis, emptied after it."""

    broker = "RabbitMQ, results in Redis"

    def environment(self, folder: Path) -> dict[str, str]:
        broker, results = place("rabbitmq", folder), place("redis", folder)
        theirs = {"BENCH_URL": broker, "BENCH_RESULTS": results}
        return {
            **super().environment(folder),
            **theirs,
            "PENSTOCK_BROKER_URL": broker,
            "PENSTOCK_RESULT_BACKEND": results,
        }

    def forget(self, folder: Path) -> None:
        client(place("redis", folder)).flushdb()


class PenstockRabbitMQ(OnRabbitMQ, PenstockSQLite):
    name = "penstock-rabbitmq"
    options = "defaults: classic queues, records, results and history kept; 8 threads, 100 coroutines a process"
    packages: ClassVar[tuple[str, ...]] = ("penstock", "hiredis", "msgspec", "uvloop")
    offers = frozenset((
        "send", "asend", "send_many", "worker", "workers", "get", "aget", "senders", "ready",
        "idle", "mark", "backlog", "load",
    ))  # fmt: skip
    app = "bench.apps.penstock_sqlite"  # its broker stands in the environment

    def ended(self, folder: Path) -> int:
        return int(client(place("redis", folder)).hget("penstock:counts", "SUCCESS") or 0)


class BareRabbitMQ(PenstockRabbitMQ):
    """What Penstock has queued, drained by others."""

    name = "bare-rabbitmq"
    title = "bare pika, redis-py"
    options = (
        "a thousand messages ahead; for each hundred one script that writes what Penstock's ending leaves and checks "
        "nothing, then one acknowledgement"
    )
    packages: ClassVar[tuple[str, ...]] = ("pika", "redis", "hiredis")
    offers = frozenset({"worker"})

    def worker(self, load: Load) -> list[str]:
        del load
        return [str(peers.program("python")), "-m", "bench.apps.bare_rabbitmq"]

    def call(self, folder: Path, verb: str, **arguments: Any) -> Any:
        if verb == "versions":  # the worker's, not those of what fills the queue
            return self.run(folder, self._inside(peers.program("python"), "bench.apps.work", verb, **arguments))
        return super().call(folder, verb, **arguments)


class DramatiqRabbitMQ(OnRabbitMQ, DramatiqRedis):
    name = "dramatiq-rabbitmq"
    options = f"confirm_delivery, {DramatiqRedis.options}"
    packages: ClassVar[tuple[str, ...]] = ("dramatiq", "pika", "redis")
    offers = DramatiqRedis.offers | {"import", "idle", "load"}
    statement = "import dramatiq"


class CeleryRabbitMQ(OnRabbitMQ, CeleryRedis):
    name = "celery-rabbitmq"
    options = f"confirm_publish; {CeleryRedis.options}"
    packages: ClassVar[tuple[str, ...]] = ("celery", "kombu", "amqp", "redis")
    offers = frozenset({"send", "worker", "workers", "get", "mark"})

    def ended(self, folder: Path) -> int:
        return int(client(place("redis", folder)).dbsize())


class TaskiqRabbitMQ(OnRabbitMQ, TaskiqRedis):
    name = "taskiq-rabbitmq"
    options = TaskiqRedis.options.replace("RedisStreamBroker", "AioPikaBroker(qos=200), a quorum queue (its default),")
    packages: ClassVar[tuple[str, ...]] = ("taskiq", "taskiq-aio-pika", "aio-pika", "taskiq-redis", "uvloop")
    offers = frozenset({"asend", "worker", "workers", "aget", "senders", "mark"})

    def ended(self, folder: Path) -> int:
        return int(client(place("redis", folder)).dbsize())
