"""Dramatiq on the RabbitMQ of the environment, with its results in Redis."""
# mypy: disable-error-code="import-not-found,untyped-decorator"

from __future__ import annotations

import os
from typing import Any

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from bench.apps import work

broker = RabbitmqBroker(url=os.environ["BENCH_URL"], confirm_delivery=True)
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_RESULTS"]), store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor
def add(x: int, y: int) -> int:
    return work.add(x, y)


@dramatiq.actor
def mark(number: int) -> int:
    return work.mark(number)


def send(task: str, *args: Any) -> Any:
    return {"add": add, "mark": mark}[task].send(*args)


def get(handle: Any) -> Any:
    return handle.get_result(block=True, timeout=10_000)
