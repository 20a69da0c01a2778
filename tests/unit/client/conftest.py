"""Apps in memory, and a hand that does a worker's part."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.client.context import Running, running
from penstock.core.encoding import dumps
from penstock.core.failure import encode_failure
from penstock.core.protocol import decode_task
from penstock.core.record import Ending
from penstock.core.step import commit


class Clock:
    """Time that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PENSTOCK_BROKER_URL", "PENSTOCK_RESULT_BACKEND", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def make(clock: Clock) -> Iterator[Callable[..., Penstock]]:
    """Make an app with a store of its own in memory."""
    made: list[Penstock] = []

    def make_app(**options: Any) -> Penstock:
        given: dict[str, Any] = {"broker": f"memory://{uuid.uuid4().hex}", "clock": clock} | options
        made.append(Penstock("test", **given))
        return made[-1]

    yield make_app
    for app in made:
        app.close()


@pytest.fixture
def app(make: Callable[..., Penstock]) -> Penstock:
    return make()


async def work_off(app: Penstock, backends: Backends, worker: str = "w@here") -> list[str]:
    """Run what is waiting in the app's queues, once, as a worker would; return the ids."""
    lease = uuid.uuid4().hex
    await backends.results.leases.open(lease, worker, 60.0)
    consumer = backends.broker.consume(app.queues, lease)
    deliveries = await consumer.fetch(100)
    for delivery in deliveries:
        request = decode_task(delivery.message)
        inside = Running(request, app, lambda _: None, worker=worker)
        token = running.set(inside)
        try:
            state, result = "SUCCESS", dumps(app.tasks[request.task].call(request))
        except Exception as error:  # a task may raise anything
            state, result = "FAILURE", encode_failure(error)
        finally:
            running.reset(token)
        ending = Ending(
            delivery=delivery,
            state=state,
            finished_at=app.clock(),
            worker=worker,
            pid=1,
            result=result,
            traceback=None if state == "SUCCESS" else "Traceback (most recent call last):\n  in the task",
            children=inside.children,
        )
        await commit(backends.results.records.finish([ending], lease), consumer.settle([delivery]))
    await consumer.stop()
    await backends.results.leases.close([lease])
    return [delivery.message.task_id for delivery in deliveries]


@pytest.fixture
def work() -> Callable[[Penstock], list[str]]:
    """Do a worker's part for an app, from plain code."""

    def run(app: Penstock) -> list[str]:
        return app.portal.call(lambda submitter: work_off(app, submitter.backends))

    return run


@pytest.fixture
def awork() -> Callable[[Penstock, Backends], Any]:
    return work_off
