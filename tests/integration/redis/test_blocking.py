"""The synchronous calls on Redis: each thread asks on a connection of its own, without an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.submit import Submitter
from penstock.core.errors import ResultTimeout, Unavailable
from penstock.core.record import Ending
from penstock.core.step import commit
from tests import servers
from tests.processes import eventually
from tests.proxy import Proxy


@pytest.fixture
def url() -> str:
    return servers.redis().fresh()


@pytest.fixture
def app(url: str) -> Iterator[Penstock]:
    with shop(url) as made:
        yield made


@contextlib.contextmanager
def shop(url: str) -> Iterator[Penstock]:
    made = Penstock("shop", broker=url)
    made.task(name="add")(lambda x, y: x + y)
    try:
        yield made
    finally:
        made.close()


def add(app: Penstock) -> Any:
    return app.tasks["add"].delay(1, 2)


def ready(app: Penstock) -> int:
    async def depth(submitter: Submitter) -> int:
        return sum(each.ready or 0 for each in await submitter.backends.broker.depth())

    return app.portal.call(depth)


def ending(app: Penstock) -> None:
    """Run what waits, as a worker would."""

    async def work() -> None:
        async with app.backends() as backends:
            records, broker = backends.results.records, backends.broker
            await backends.results.leases.open("lease", "w@here", 60.0)
            taker = broker.consume(["default"], "lease")
            for delivery in await taker.fetch(10):
                ends = Ending(
                    delivery=delivery, state="SUCCESS", finished_at=time.time(), worker="w@here", pid=1, result=b"3"
                )
                await commit(records.finish([ends], "lease"), taker.settle([delivery]))
            await taker.stop()

    asyncio.run(work())


def test_no_thread_but_the_callers_does_the_work(app: Penstock) -> None:
    before = set(threading.enumerate())  # tests before this one may have left theirs
    add(app)
    assert set(threading.enumerate()) <= before


def test_threads_submit_side_by_side(app: Penstock) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda _: add(app).id, range(200)))
    assert (len(ids), ready(app)) == (200, 200)


def test_who_waits_for_a_result_is_woken_by_its_ending(app: Penstock) -> None:
    task = add(app)
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(task.get, timeout=60) for _ in range(2)]
        time.sleep(0.1)  # so that they sleep; they would be right without it, too
        ending(app)
        assert [each.result() for each in waits] == [3, 3]
    later = add(app)  # its wait gets a connection that has listened to the first one's channels
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(later.get, timeout=60)
        ending(app)
        assert wait.result() == 3


def test_a_wait_ends_with_its_time(app: Penstock) -> None:
    with pytest.raises(ResultTimeout):
        add(app).get(timeout=0.05)


def test_closing_wakes_who_waits(app: Penstock) -> None:
    task = add(app)
    with ThreadPoolExecutor(1) as pool:
        wait = pool.submit(task.get)
        time.sleep(0.2)  # so that it sleeps
        app.close()
        with pytest.raises(Unavailable, match="closed by this program"):
            wait.result(timeout=30)


def test_an_idle_connection_that_the_server_gave_up_is_not_used_again(url: str) -> None:
    with Proxy(url) as proxy, shop(proxy.url) as app:
        add(app)
        proxy.cut()
        add(app)
        assert ready(app) == 2


def test_a_wait_outlives_the_connection(url: str) -> None:
    with Proxy(url) as proxy, shop(proxy.url) as app:
        task = add(app)
        with ThreadPoolExecutor(1) as pool:
            wait = pool.submit(task.get, timeout=60)
            time.sleep(0.2)  # so that it sleeps
            proxy.cut()
            with shop(url) as other:
                ending(other)
            assert wait.result() == 3


def test_a_silent_server_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        address = f"redis://127.0.0.1:{port}/0?socket_timeout=0.3&socket_connect_timeout=0.3"
        with shop(address) as app, pytest.raises(Unavailable, match=r"no answer (in time|within 0\.3 s)"):
            add(app)


def test_an_interrupt_ends_the_call_and_the_next_one_gets_its_own_answer() -> None:
    """Ctrl-C while the server is frozen: the answer that comes later is nobody's."""
    with servers.Redis() as server, shop(server.url) as app:
        first = add(app)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            timer = threading.Timer(0.3, signal.raise_signal, (signal.SIGINT,))
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                add(app)
        finally:
            os.kill(server.pid, signal.SIGCONT)
        assert first.state == "PENDING"
        eventually(lambda: ready(app) in {1, 2}, within=10, what="the server goes on")
        assert add(app).state == "PENDING"
