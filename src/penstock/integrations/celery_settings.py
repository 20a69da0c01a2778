"""Celery's settings, as web applications have them, read as options of an app.

Both of Celery's spellings are known: the new one (`task_ignore_result`, in Django `CELERY_TASK_IGNORE_RESULT`) and the
one before it (`CELERY_IGNORE_RESULT`, `BROKER_URL`, `CELERYD_MAX_TASKS_PER_CHILD`). What stands in no table here has
no meaning in Penstock and is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from penstock.core.errors import ConfigurationError
from penstock.core.settings import PREFIX
from penstock.core.url import scheme

_NEVER: Final = 1e9  # seconds; what Celery's 0 and None mean for `result_expires`


def options(given: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The options of `Penstock(...)` that Celery's settings among `given` stand for.

    What the environment says in Penstock's own variables comes before Celery's settings, and those are left out then.
    Raises ConfigurationError with every fault, naming the setting as it is spelt in `given`.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, Any] = {}
    faults: list[str] = []
    for spelt, (option, read) in _TABLE.items():
        name = next((name for name in _spellings(spelt) if name in given), None)
        if name is None or environ.get(PREFIX + option.upper()):
            continue
        try:
            value = read(given[name])
        except (TypeError, ValueError) as error:
            faults.append(f"{name}={given[name]!r}: {error}")
            continue
        if value is not None:
            found[option] = value
    if faults:
        raise ConfigurationError(*faults)
    return _addressed(found, given)


def _spellings(names: tuple[str, ...]) -> list[str]:
    """How a setting may be written: new, new in Django's way, old."""
    new, *old = names
    return [f"CELERY_{new.upper()}", new, *old]


def _addressed(found: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What Celery says beside the broker's URL stands in it here."""
    url = found.pop("broker_url", None)
    if url is None:
        return found
    found["broker"] = url
    if scheme(url) not in {"amqp", "amqps", "pyamqp"}:
        return found
    for option, names in _BESIDE.items():
        value = next((given[name] for name in _spellings(names) if name in given), None)
        if isinstance(value, (int, float)) and value and f"{option}=" not in url:
            url += f"{'&' if urlsplit(url).query else '?'}{option}={value}"
    return {**found, "broker": url}


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError("expected a text")
    return value or None


def _queues(value: Any) -> list[str]:
    """Names of queues, or kombu's Queue objects."""
    return [str(getattr(queue, "name", queue)) for queue in value or ()]


def _seconds(value: Any) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value or _NEVER)


def _kibibytes(value: Any) -> int:
    return int(value) * 1024


def _late(value: Any) -> None:
    if value:  # as it always is
        return
    raise ValueError("tasks are always acknowledged after they have ended, so that none is lost; leave it out")


def _json(value: Any) -> None:
    given = [value] if isinstance(value, str) else list(value)
    if not {"json", "application/json"} & set(given):
        raise ValueError("only JSON travels; pickle and other formats can run code, or are not checked")


def _same(value: Any) -> Any:
    return value


_TABLE: Final[dict[tuple[str, ...], tuple[str, Callable[[Any], Any]]]] = {
    ("broker_url", "BROKER_URL", "CELERY_BROKER_URI"): ("broker_url", _text),
    ("result_backend",): ("result_backend", _text),
    ("task_default_queue", "CELERY_DEFAULT_QUEUE"): ("default_queue", _text),
    ("task_queues", "CELERY_QUEUES"): ("queues", _queues),
    ("task_routes", "CELERY_ROUTES"): ("task_routes", _same),
    ("task_ignore_result", "CELERY_IGNORE_RESULT"): ("ignore_result", bool),
    ("task_track_started", "CELERY_TRACK_STARTED"): ("track_started", bool),
    ("task_time_limit", "CELERYD_TASK_TIME_LIMIT"): ("time_limit", _same),
    ("task_soft_time_limit", "CELERYD_TASK_SOFT_TIME_LIMIT"): ("soft_time_limit", _same),
    ("task_acks_late", "CELERY_ACKS_LATE"): ("acks_late", _late),
    ("task_always_eager", "CELERY_ALWAYS_EAGER"): ("eager", bool),
    ("task_eager_propagates", "CELERY_EAGER_PROPAGATES_EXCEPTIONS"): ("eager_propagates", bool),
    ("task_serializer",): ("serializer", _json),
    ("accept_content",): ("accept_content", _json),
    ("result_expires", "CELERY_TASK_RESULT_EXPIRES"): ("result_expires", _seconds),
    ("worker_concurrency", "CELERYD_CONCURRENCY"): ("processes", _same),
    ("worker_max_tasks_per_child", "CELERYD_MAX_TASKS_PER_CHILD"): ("max_tasks_per_child", _same),
    ("worker_max_memory_per_child", "CELERYD_MAX_MEMORY_PER_CHILD"): ("max_memory_per_child", _kibibytes),
}
#: Settings of the connection, by the option of the broker's URL that says the same.
_BESIDE: Final = {
    "heartbeat": ("broker_heartbeat", "BROKER_HEARTBEAT"),
    "connection_timeout": ("broker_connection_timeout", "BROKER_CONNECTION_TIMEOUT"),
}
