"""Dramatiq on the RabbitMQ or Redis of the environment, with its results in Redis."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.apps import work

_URL = os.environ["BENCH_URL"]
_RESULTS = RedisBackend(url=os.environ.get("BENCH_RESULTS", _URL))

broker = RedisBroker(url=_URL) if _URL.startswith("redis") else RabbitmqBroker(url=_URL, confirm_delivery=True)
broker.add_middleware(Results(backend=_RESULTS, store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor
def add(x: int, y: int) -> int:
    return work.add(x, y)


@dramatiq.actor
def spin(seconds: float) -> bool:
    return work.spin(seconds)


@dramatiq.actor
def mark(number: int) -> int:
    return work.mark(number)


def send(task: str, *args: Any) -> Any:
    return {"add": add, "spin": spin, "mark": mark}[task].send(*args)


def get(handle: Any) -> Any:
    return handle.get_result(block=True, timeout=10_000)
