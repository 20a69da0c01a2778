"""An app in memory for as long as a test takes: nothing of its real broker and result backend is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from penstock.client.app import Penstock
from penstock.client.portal import Portal
from penstock.client.submit import Submitter
from penstock.core.ids import new_id
from penstock.drivers.memory import forget
from penstock.testing.clock import Clock


@contextmanager
def memory(app: Penstock, at: datetime | float | None = None) -> Iterator[Clock]:
    """Point `app` at a fresh, empty pair of queues and records in memory; yield the clock that it goes by.

    The clock starts `at` a time, or now, and stands still. Tasks wait until `drain(app)`.
    """
    clock = Clock(at)
    with _pointed(app, clock):
        if app.schedules:
            app.portal.call(lambda submitter: _declare(app, submitter))  # they are due from now on
        yield clock


@contextmanager
def eager(app: Penstock, propagates: bool = False) -> Iterator[Penstock]:
    """Have each task of `app` run at once where it is submitted; with `propagates` it raises there what it raises."""
    with _pointed(app, app.clock):
        app.settings = replace(app.settings, eager=True, eager_propagates=propagates)
        yield app


@contextmanager
def _pointed(app: Penstock, clock: Callable[[], float]) -> Iterator[None]:
    name = new_id()
    url = f"memory://{name}"
    before = app.settings, app.portal, app.clock
    app.settings = replace(app.settings, broker_url=url, result_backend=url, eager=False)
    app.portal = Portal(lambda blocking: app.backends(blocking=blocking), blocks=True)
    app.clock = clock
    try:
        yield
    finally:
        app.close()
        app.settings, app.portal, app.clock = before
        forget(name)


async def _declare(app: Penstock, submitter: Submitter) -> None:
    await submitter.backends.results.schedules.sync(app.name, list(app.schedules.values()))
