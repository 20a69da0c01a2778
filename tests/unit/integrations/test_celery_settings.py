"""Celery's settings, read as options of an app."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.core.errors import ConfigurationError
from penstock.integrations.celery_settings import options


@pytest.mark.parametrize(
    ("setting", "given", "found"),
    [
        ("BROKER_URL", "redis://broker/0", {"broker": "redis://broker/0"}),
        ("CELERY_BROKER_URL", "redis://broker/0", {"broker": "redis://broker/0"}),
        ("CELERY_RESULT_BACKEND", "redis://results/1", {"result_backend": "redis://results/1"}),
        ("CELERY_DEFAULT_QUEUE", "jobs", {"default_queue": "jobs"}),
        ("CELERY_TASK_DEFAULT_QUEUE", "jobs", {"default_queue": "jobs"}),
        ("task_default_queue", "jobs", {"default_queue": "jobs"}),
        ("CELERY_QUEUES", (SimpleNamespace(name="default"), "slow"), {"queues": ["default", "slow"]}),
        ("CELERY_TASK_ROUTES", {"a.*": {"queue": "a"}}, {"task_routes": {"a.*": {"queue": "a"}}}),
        ("CELERY_IGNORE_RESULT", True, {"ignore_result": True}),
        ("CELERY_TASK_IGNORE_RESULT", False, {"ignore_result": False}),
        ("CELERY_TRACK_STARTED", True, {"track_started": True}),
        ("CELERY_ACKS_LATE", True, {}),
        ("CELERY_ALWAYS_EAGER", False, {"eager": False}),
        ("CELERY_TASK_SERIALIZER", "json", {}),
        ("CELERY_ACCEPT_CONTENT", ["application/json"], {}),
        ("CELERY_TASK_RESULT_EXPIRES", 600, {"result_expires": 600.0}),
        ("CELERY_RESULT_EXPIRES", timedelta(hours=1), {"result_expires": 3600.0}),
        ("CELERYD_MAX_TASKS_PER_CHILD", 1000, {"max_tasks_per_child": 1000}),
        ("CELERY_WORKER_MAX_MEMORY_PER_CHILD", 2, {"max_memory_per_child": 2048}),
        ("CELERYD_CONCURRENCY", 4, {"processes": 4}),
        ("CELERYD_PREFETCH_MULTIPLIER", 1, {}),
        ("CELERY_DISABLE_RATE_LIMITS", False, {}),
    ],
)
def test_a_setting_is_an_option(setting: str, given: Any, found: dict[str, Any]) -> None:
    assert options({setting: given}, {}) == found


def test_what_celery_says_beside_the_url_stands_in_the_url_of_rabbitmq() -> None:
    given = {"BROKER_CONNECTION_TIMEOUT": 10, "BROKER_HEARTBEAT": 60, "BROKER_POOL_LIMIT": 1}
    url = "amqp://me:secret@rabbit:5672//"
    assert options({**given, "BROKER_URL": url}, {})["broker"] == f"{url}?heartbeat=60&connection_timeout=10"
    told = options({**given, "BROKER_URL": f"{url}?heartbeat=30"}, {})["broker"]
    assert told == f"{url}?heartbeat=30&connection_timeout=10", "the URL itself has the last word"
    assert options({**given, "BROKER_URL": "redis://broker/0"}, {})["broker"] == "redis://broker/0"


def test_our_own_variables_come_before_celerys_settings() -> None:
    given = {"CELERY_BROKER_URL": "redis://broker/0", "CELERY_RESULT_BACKEND": "redis://results/1"}
    found = options(given, {"PENSTOCK_BROKER_URL": "sqlite:///x.db"})
    assert found == {"result_backend": "redis://results/1"}


def test_all_that_cannot_be_is_told_at_once_with_the_names_as_they_are_written() -> None:
    given = {"CELERY_TASK_SERIALIZER": "pickle", "CELERY_ACKS_LATE": False, "BROKER_URL": 7}
    with pytest.raises(ConfigurationError) as raised:
        options(given, {})
    told = str(raised.value)
    assert all(f"{name}={value!r}" in told for name, value in given.items())
