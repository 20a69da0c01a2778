"""Where Penstock wants to be, and where it is. Ratios are made within a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.results import Results, Summary

_US, _BARE, _HUEY = "penstock-sqlite", "bare-sqlite", "huey-sqlite"
_ON_REDIS, _ON_POSTGRES, _ON_RABBITMQ = "penstock-redis", "penstock-postgres", "penstock-rabbitmq"


@dataclass(frozen=True, slots=True)
class Goal:
    """`found` reads it from the results; None if the run does not tell."""

    title: str
    target: float
    unit: str
    found: Callable[[Results], Summary | None]
    at_least: bool = True

    def met(self, found: Summary) -> bool:
        return found.median >= self.target if self.at_least else found.median <= self.target


def _of(figure: str, us: str = _US) -> Callable[[Results], Summary | None]:
    return lambda results: results.summary(figure, us)


def _percent(figure: str, other: str, us: str = _US) -> Callable[[Results], Summary | None]:
    return lambda results: results.combined((figure, us), (figure, other), lambda ours, theirs: 100 * ours / theirs)


def _times(figure: str, other: str, us: str = _US) -> Callable[[Results], Summary | None]:
    return lambda results: results.combined((figure, us), (figure, other), lambda ours, theirs: ours / theirs)


def _two_over_one(results: Results) -> Summary | None:
    return results.combined(("cpu-2", _US), ("cpu-1", _US), lambda two, one: two / one)


def _crowd_over_celery(results: Results) -> Summary | None:
    one, other = ("submit-32", _ON_RABBITMQ), ("submit", "celery-rabbitmq")
    return results.combined(one, other, lambda ours, theirs: ours / theirs)


GOALS = (
    Goal("drain, one process, of bare sqlite3", 35, "%", _percent("drain-1", _BARE)),
    Goal("drain, one process, over Huey", 10, "times", _times("drain-1", _HUEY)),
    Goal("submit one by one, of bare sqlite3", 80, "%", _percent("submit", _BARE)),
    Goal("submit in batches of 1,000", 30_000, "tasks/s", _of("bulk")),
    Goal("Redis: drain, one process, over Celery prefork", 25, "times", _times("drain-1", "celery-redis", _ON_REDIS)),
    Goal("Redis: drain, one process, over ArdiQ", 1.8, "times", _times("drain-1", "ardiq-redis", _ON_REDIS)),
    Goal("Redis: drain, one process, over BullMQ", 1.1, "times", _times("drain-1", "bullmq-redis", _ON_REDIS)),
    Goal("Redis: drain, one process, of bare redis-py", 50, "%", _percent("drain-1", "bare-redis", _ON_REDIS)),
    Goal("Redis: submit one by one, over Celery", 3, "times", _times("submit", "celery-redis", _ON_REDIS)),
    Goal("Redis: submit in batches of 1,000", 50_000, "tasks/s", _of("bulk", _ON_REDIS)),
    Goal("Redis: latency, median", 1, "ms", _of("latency-p50", _ON_REDIS), at_least=False),
    Goal("Redis: latency, p99", 4, "ms", _of("latency-p99", _ON_REDIS), at_least=False),
    Goal(
        "PostgreSQL: drain, one process, over Procrastinate",
        20,
        "times",
        _times("drain-1", "procrastinate-postgres", _ON_POSTGRES),
    ),
    Goal(
        "PostgreSQL: drain, one process, over PgQueuer",
        1,
        "times",
        _times("drain-1", "pgqueuer-postgres", _ON_POSTGRES),
    ),
    Goal("PostgreSQL: submit in batches of 1,000", 30_000, "tasks/s", _of("bulk", _ON_POSTGRES)),
    Goal("PostgreSQL: latency, median", 1.5, "ms", _of("latency-p50", _ON_POSTGRES), at_least=False),
    Goal(
        "RabbitMQ: drain, one process, over Dramatiq",
        5,
        "times",
        _times("drain-1", "dramatiq-rabbitmq", _ON_RABBITMQ),
    ),
    Goal("RabbitMQ: submit one by one, over Celery", 0.8, "times", _times("submit", "celery-rabbitmq", _ON_RABBITMQ)),
    Goal("RabbitMQ: submit, 32 coroutines, over Celery one by one", 3, "times", _crowd_over_celery),
    Goal("RabbitMQ: latency, median", 1.5, "ms", _of("latency-p50", _ON_RABBITMQ), at_least=False),
    Goal("HTTP POST, two processes", 10_000, "requests/s", _of("post-2")),
    Goal("latency, median", 1, "ms", _of("latency-p50"), at_least=False),
    Goal("latency, p99", 4, "ms", _of("latency-p99"), at_least=False),
    Goal("5 ms of CPU, two processes over one", 1.9, "times", _two_over_one),
    Goal("5 ms of CPU, two processes, of bare loops", 95, "%", _percent("cpu-2", _BARE)),
    Goal("100 ms async sleeps, 10 at once", 98, "% of ideal", _of("naps-10")),
    Goal("100 ms async sleeps, 1,000 at once", 90, "% of ideal", _of("naps-1000")),
    Goal("worker: start to ready", 0.25, "s", _of("ready"), at_least=False),
    Goal("worker: start to first result", 0.25, "s", _of("first"), at_least=False),
    Goal("from penstock import Penstock", 0.15, "s", _of("import"), at_least=False),
    Goal("penstock --help", 0.3, "s", _of("help"), at_least=False),
    Goal("idle worker, its largest process", 35, "MiB", _of("pss-largest"), at_least=False),
    Goal("idle HTTP server", 35, "MiB", _of("pss-api"), at_least=False),
)
