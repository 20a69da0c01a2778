"""Penstock in a Flask application, in one process: configuration and context."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, current_app, g

from penstock.core.errors import ConfigurationError
from penstock.integrations.flask import FlaskPenstock

EAGER: dict[str, Any] = {"PENSTOCK_EAGER": True, "PENSTOCK_EAGER_PROPAGATES": True}


def made(queue: FlaskPenstock, **config: Any) -> Flask:
    app = Flask("shop")
    app.config.update(config)
    queue.init_app(app)
    return app


def test_the_settings_are_those_of_the_flask_config() -> None:
    queue = FlaskPenstock()
    app = made(queue, PENSTOCK_BROKER_URL="memory://shop", PENSTOCK_DEFAULT_QUEUE="jobs", PENSTOCK_MAX_DELIVERIES=2)
    assert app.extensions["penstock"] is queue
    assert queue.name == "shop"
    assert queue.settings.broker_url == queue.settings.result_backend == "memory://shop"
    assert queue.queues == ["jobs"]
    assert queue.settings.max_deliveries == 2


def test_celerys_names_are_read_where_ours_are_unset() -> None:
    queue = FlaskPenstock()
    made(queue, CELERY_BROKER_URI="memory://one", CELERY_RESULT_BACKEND="memory://two")
    assert (queue.settings.broker_url, queue.settings.result_backend) == ("memory://one", "memory://two")
    made(queue, CELERY={"broker_url": "memory://three", "task_default_queue": "jobs"}, PENSTOCK_DEFAULT_QUEUE="ours")
    assert (queue.settings.broker_url, queue.settings.default_queue) == ("memory://three", "ours")


def test_what_was_given_in_the_code_comes_first() -> None:
    queue = FlaskPenstock(name="mine", broker="memory://mine")
    made(queue, PENSTOCK_BROKER_URL="memory://config")
    assert (queue.name, queue.settings.broker_url) == ("mine", "memory://mine")


def test_a_faulty_config_is_told_by_the_names_of_its_keys() -> None:
    with pytest.raises(ConfigurationError, match="proceses"):
        made(FlaskPenstock(), PENSTOCK_PROCESES=3)
    with pytest.raises(ConfigurationError, match="ignore_result"):
        made(FlaskPenstock(), CELERY={"task_ignore_result": True})


def test_a_task_runs_in_an_application_context_of_its_own() -> None:
    queue = FlaskPenstock()

    @queue.task
    def colour() -> str:
        g.seen = True
        return str(current_app.config["COLOUR"])

    @queue.task
    async def later() -> list[Any]:
        return [current_app.config["COLOUR"], "seen" in g]

    made(queue, COLOUR="green", **EAGER)
    assert colour.delay().get() == "green"
    assert later.delay().get() == ["green", False]
    with pytest.raises(RuntimeError, match="application context"):
        colour()  # called directly it is the plain function


def test_an_application_factory_makes_as_many_as_are_asked_for() -> None:
    queue = FlaskPenstock()

    @queue.task
    def colour() -> str:
        return str(current_app.config["COLOUR"])

    made(queue, COLOUR="green", **EAGER)
    assert colour.delay().get() == "green"
    made(queue, COLOUR="blue", **EAGER)
    assert colour.delay().get() == "blue"
    direct = FlaskPenstock(Flask("other"), broker="memory://direct")
    assert (direct.name, direct.settings.broker_url) == ("other", "memory://direct")
