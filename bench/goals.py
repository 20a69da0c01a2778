"""Where Penstock wants to be, and where it is. Ratios are made within a round."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.contenders import CONTENDERS
from bench.results import Results, Summary

_US, _BARE, _HUEY = "penstock-sqlite", "bare-sqlite", "huey-sqlite"
_ON_REDIS, _ON_POSTGRES, _ON_RABBITMQ = "penstock-redis", "penstock-postgres", "penstock-rabbitmq"
_ON = {"SQLite": _US, "Redis": _ON_REDIS, "PostgreSQL": _ON_POSTGRES, "RabbitMQ": _ON_RABBITMQ}


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


Found = Callable[[Results], Summary | None]


def _of(figure: str, us: str = _US) -> Found:
    return lambda results: results.summary(figure, us)


def _times(figure: str, other: str, us: str = _US, theirs: str = "") -> Found:
    """Our figure over that of another, or over another figure (`theirs`) of it."""
    return lambda results: results.combined((figure, us), (theirs or figure, other), lambda one, two: one / two)


def _percent(figure: str, other: str, us: str = _US, theirs: str = "") -> Found:
    return lambda results: results.combined((figure, us), (theirs or figure, other), lambda one, two: 100 * one / two)


def _of_the_best(us: str) -> Found:
    """Our median latency over that of the best peer on the same broker, each at its better of sync and async."""
    broker = next(each.broker for each in CONTENDERS if each.name == us)
    peers = [each.name for each in CONTENDERS if each.broker == broker and each.name != us]

    def best(results: Results, names: list[str]) -> float | None:
        both = [results.summary(figure, each) for figure in ("latency-p50", "alatency-p50") for each in names]
        return min((found.median for found in both if found), default=None)

    def found(results: Results) -> Summary | None:
        ours, theirs = best(results, [us]), best(results, peers)
        return None if ours is None or theirs is None else Summary(ours / theirs, ours / theirs, ours / theirs, 1)

    return found


def _goals_of_latency(broker: str, median: float) -> tuple[Goal, ...]:
    us = _ON[broker]
    return (
        Goal(f"{broker}: latency, median", median, "ms", _of("latency-p50", us), at_least=False),
        Goal(f"{broker}: latency, p99", 4, "ms", _of("latency-p99", us), at_least=False),
        Goal(f"{broker}: latency, median, of the best peer's", 1, "times", _of_the_best(us), at_least=False),
    )


def _goals_of_backlog(broker: str, least: float) -> tuple[Goal, ...]:
    """RabbitMQ pages: it is reported, not aimed at."""
    return tuple(
        Goal(
            f"{broker}: {what}, 1 million waiting, of that at 10 thousand",
            least,
            "%",
            _percent(f"backlog-1m-{figure}", _ON[broker], _ON[broker], f"backlog-10k-{figure}"),
        )
        for what, figure in (("submit", "submit"), ("drain", "drain"))
    )


GOALS = (
    Goal("Redis: drain, over Celery prefork", 25, "times", _times("drain-1", "celery-redis", _ON_REDIS)),
    Goal("Redis: drain, over ArdiQ", 1.8, "times", _times("drain-1", "ardiq-redis", _ON_REDIS)),
    Goal("Redis: drain, over BullMQ", 1.1, "times", _times("drain-1", "bullmq-redis", _ON_REDIS)),
    Goal("Redis: drain, of bare redis-py", 50, "%", _percent("drain-1", "bare-redis", _ON_REDIS)),
    Goal("SQLite: drain, over Huey", 10, "times", _times("drain-1", _HUEY)),
    Goal("SQLite: drain, of bare sqlite3", 35, "%", _percent("drain-1", _BARE)),
    Goal("PostgreSQL: drain, over PgQueuer", 1, "times", _times("drain-1", "pgqueuer-postgres", _ON_POSTGRES)),
    Goal(
        "PostgreSQL: drain, over Procrastinate", 20, "times", _times("drain-1", "procrastinate-postgres", _ON_POSTGRES)
    ),
    Goal("PostgreSQL: drain, of bare asyncpg", 35, "%", _percent("drain-1", "bare-postgres", _ON_POSTGRES)),
    Goal("RabbitMQ: drain, over Dramatiq", 5, "times", _times("drain-1", "dramatiq-rabbitmq", _ON_RABBITMQ)),
    Goal("RabbitMQ: drain, of bare pika", 40, "%", _percent("drain-1", "bare-rabbitmq", _ON_RABBITMQ)),
    Goal("5 ms of CPU, two processes over one", 1.9, "times", _times("cpu-2", _US, theirs="cpu-1")),
    Goal("Redis: submit one by one, over Celery", 3, "times", _times("submit", "celery-redis", _ON_REDIS)),
    Goal("RabbitMQ: submit one by one, over Celery", 0.8, "times", _times("submit", "celery-rabbitmq", _ON_RABBITMQ)),
    Goal(
        "RabbitMQ: submit, 32 coroutines, over Celery one by one",
        3,
        "times",
        _times("submit-32", "celery-rabbitmq", _ON_RABBITMQ, "submit"),
    ),
    Goal("SQLite: submit one by one, of bare sqlite3", 80, "%", _percent("submit", _BARE)),
    Goal("PostgreSQL: submit one by one, of bare asyncpg", 80, "%", _percent("asubmit", "bare-postgres", _ON_POSTGRES)),
    Goal("Redis: submit in batches of 1,000", 50_000, "tasks/s", _of("bulk", _ON_REDIS)),
    Goal("SQLite: submit in batches of 1,000", 30_000, "tasks/s", _of("bulk")),
    Goal("PostgreSQL: submit in batches of 1,000", 30_000, "tasks/s", _of("bulk", _ON_POSTGRES)),
    Goal("HTTP POST, two processes, over Flask + Celery", 10, "times", _times("post-2", "flask-celery", _ON_REDIS)),
    Goal("HTTP POST, two processes, over FastAPI + Taskiq", 3, "times", _times("post-2", "fastapi-taskiq", _ON_REDIS)),
    Goal("HTTP GET, two processes, over Flask + Celery", 10, "times", _times("get-2", "flask-celery", _ON_REDIS)),
    Goal("HTTP GET, two processes, over FastAPI + Taskiq", 3, "times", _times("get-2", "fastapi-taskiq", _ON_REDIS)),
    *_goals_of_latency("SQLite", 1),
    *_goals_of_latency("Redis", 1),
    *_goals_of_latency("PostgreSQL", 1.5),
    *_goals_of_latency("RabbitMQ", 1.5),
    *_goals_of_backlog("SQLite", 90),
    *_goals_of_backlog("Redis", 90),
    *_goals_of_backlog("PostgreSQL", 80),
    Goal("100 ms async sleeps, 10 at once", 98, "% of ideal", _of("naps-10")),
    Goal("100 ms async sleeps, 1,000 at once", 90, "% of ideal", _of("naps-1000")),
    Goal("worker: start to first result", 0.25, "s", _of("first"), at_least=False),
    Goal("from penstock import Penstock", 0.15, "s", _of("import"), at_least=False),
    Goal("SQLite: idle worker, its largest process", 35, "MiB", _of("pss-largest"), at_least=False),
    Goal("Redis: idle worker, its largest process", 45, "MiB", _of("pss-largest", _ON_REDIS), at_least=False),
    Goal("PostgreSQL: idle worker, its largest process", 45, "MiB", _of("pss-largest", _ON_POSTGRES), at_least=False),
    Goal("RabbitMQ: idle worker, its largest process", 45, "MiB", _of("pss-largest", _ON_RABBITMQ), at_least=False),
)
