"""Redis is killed, cut off, slow, full or refuses the login: nothing accepted is lost, and nobody hangs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.client.app import Penstock
from penstock.client.result import AsyncResult
from penstock.core.errors import ConfigurationError, StorageError, Unavailable
from penstock.core.record import Filter
from penstock.core.states import ALL, SUCCESS
from tests import servers
from tests.processes import Launched, eventually, free_port, launched
from tests.proxy import Proxy

APP = """
from penstock import Penstock
app = Penstock("outage")

@app.task
def add(x: int, y: int = 0) -> int:
    return x + y
"""


class Shop:
    """An app in a folder, as its client sees it, at one URL or another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "app.py").write_text(APP)

    def app(self, url: str) -> Penstock:
        made = Penstock("outage", broker=url)

        @made.task
        def add(x: int, y: int = 0) -> int:
            return x + y

        return made

    @contextmanager
    def runs(self, url: str, *command: str, says: str) -> Iterator[Launched]:
        with launched(*command, cwd=self.folder, env={"PENSTOCK_BROKER_URL": url}) as process:
            process.prints(says)
            yield process

    def worker(self, url: str, *options: str, processes: int = 1) -> Any:
        return self.runs(url, "worker", "app.py", "--processes", str(processes), *options, says="ready:")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def counted(app: Penstock) -> dict[str, int]:
    async with app.backends() as backends:
        found = {state: await backends.results.records.count(Filter(states=[state])) for state in ALL}
    return {state: number for state, number in found.items() if number}


def succeeded(app: Penstock, number: int, within: float = 240.0) -> None:
    """Wait until so many tasks have succeeded, and none ended otherwise or waits."""

    def probe() -> bool:
        try:
            return asyncio.run(counted(app)) == {SUCCESS: number}
        except Unavailable:
            return False

    eventually(probe, within=within, every=0.2, what=f"{number} tasks to succeed")


def refusal(app: Penstock, x: int) -> str:
    """Submit; what was said against it."""
    try:
        app.send_task("add", (x,))
    except (Unavailable, StorageError) as error:
        return str(error)
    return ""


def accepted(app: Penstock, x: int) -> bool:
    return not refusal(app, x)


def refused(app: Penstock, within: float) -> None:
    """A submission fails, and does so soon."""
    began = time.monotonic()
    with pytest.raises((Unavailable, StorageError)):
        app.send_task("add", (1,))
    assert time.monotonic() - began < within


def test_a_killed_server_costs_no_task_of_20_000_in_flight(shop: Shop) -> None:
    total = 20_000
    with servers.Redis(appendfsync="always") as server:
        app = shop.app(server.url)
        with shop.worker(server.url, processes=2):
            many = [app.prepare("add", (number,)) for number in range(total)]
            app.portal.call(lambda submitter: submitter.submit(many))
            eventually(lambda: asyncio.run(counted(app)).get(SUCCESS, 0) > total // 10, within=120, what="a tenth")
            server.kill()
            refused(app, within=20)
            server.start()
            eventually(lambda: accepted(app, 1), within=60, every=0.2, what="a submission after the outage")
            succeeded(app, total + 1)
            assert json.loads(asyncio.run(_result(app, many[-1].record.task_id)) or b"0") == total - 1


async def _result(app: Penstock, task_id: str) -> bytes | None:
    async with app.backends() as backends:
        return (await backends.results.records.get([task_id]))[task_id].result


class TestConnections:
    def test_a_worker_that_was_cut_off_takes_tasks_again(self, shop: Shop, redis_server: servers.Redis) -> None:
        url = redis_server.fresh()
        app = shop.app(url)
        with Proxy(url) as proxy, shop.worker(proxy.url):
            for turn, break_off in enumerate((proxy.cut, proxy.refuse, proxy.half_open)):
                break_off()
                time.sleep(0.5)
                proxy.heal()
                assert accepted(app, turn)
                succeeded(app, turn + 1, within=60)

    def test_a_black_hole_refuses_soon_and_heals(self, shop: Shop, redis_server: servers.Redis) -> None:
        url = redis_server.fresh()
        with Proxy(url) as proxy:
            app = shop.app(f"{proxy.url}?socket_timeout=1&socket_connect_timeout=1")
            assert accepted(app, 1)
            proxy.half_open()
            refused(app, within=20)
            refused(app, within=20)
            proxy.heal()
            eventually(lambda: accepted(app, 2), within=30, what="a submission after the outage")

    def test_a_slow_server_is_waited_for(self, shop: Shop, redis_server: servers.Redis) -> None:
        url = redis_server.fresh()
        with Proxy(url) as proxy, shop.worker(proxy.url):
            proxy.delay(0.3)
            app = shop.app(proxy.url)
            assert app.send_task("add", (2, 3)).get(timeout=60) == 5

    def test_the_api_says_503_and_when_to_come_again(self, shop: Shop, redis_server: servers.Redis) -> None:
        with Proxy(redis_server.fresh()) as proxy:
            port = free_port()
            url = f"{proxy.url}?socket_timeout=1&socket_connect_timeout=1"
            with shop.runs(url, "api", "app.py", "--port", str(port), says="API on"):

                def submit() -> httpx.Response:
                    task = {"task": "add", "args": [1]}
                    return httpx.post(f"http://127.0.0.1:{port}/tasks", json=task, timeout=60)

                assert submit().status_code == 202
                for break_off in (proxy.refuse, proxy.half_open):
                    break_off()
                    began = time.monotonic()
                    answer = submit()
                    assert time.monotonic() - began < 20
                    assert answer.status_code == 503
                    assert int(answer.headers["retry-after"]) >= 1
                    assert "127.0.0.1" in answer.json()["detail"]
                    proxy.heal()
                    eventually(lambda: submit().status_code == 202, within=30, what="202 after the outage")

    def test_liveness_tells_the_age_of_the_last_fetch(self, shop: Shop, redis_server: servers.Redis) -> None:
        url, port = redis_server.fresh(), free_port()
        with Proxy(url) as proxy, shop.worker(proxy.url, "--health-port", str(port)):

            def age() -> float:
                answer = httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=60)
                return float(max(answer.json()["seconds_since_fetch"].values()))

            eventually(lambda: age() < 5, what="a fetch")
            proxy.refuse()
            eventually(lambda: age() > 6, what="an age that grows")
            proxy.heal()
            eventually(lambda: age() < 5, what="a fetch after the outage")


class TestRefusals:
    def test_a_full_server_says_so_and_heals(self, shop: Shop) -> None:
        with servers.Redis(maxmemory="16mb", maxmemory_policy="noeviction") as server:
            app = shop.app(server.url)
            with shop.worker(server.url):
                asyncio.run(_pause(app, True))
                number = 0
                while not (said := refusal(app, number)):
                    number += 1
                assert "full (maxmemory)" in said
                assert number > 10
                asyncio.run(_configure(app, "maxmemory", "100mb"))
                asyncio.run(_pause(app, False))
                assert accepted(app, 1)
                succeeded(app, number + 1)

    def test_a_worker_that_starts_while_the_server_is_full_waits_for_room(self, shop: Shop) -> None:
        with servers.Redis(maxmemory="1mb", maxmemory_policy="noeviction") as server:
            app = shop.app(server.url)
            assert "full (maxmemory)" in refusal(app, 1)
            waits = "full (maxmemory); nothing can be added until there is room; trying again until it works"
            with shop.runs(server.url, "worker", "app.py", "--processes", "1", says=waits) as process:
                asyncio.run(_configure(app, "maxmemory", "100mb"))
                process.prints("ready:")
                assert accepted(app, 1)
                succeeded(app, 1)
                assert "Traceback" not in process.printed()

    def test_a_server_that_cannot_save_to_its_disk_says_so_and_heals(self, shop: Shop) -> None:
        with servers.Redis(appendonly="no", save="3600 1000000") as server:
            app, in_the_way = shop.app(server.url), server.folder / "dump.rdb"
            with shop.worker(server.url):
                in_the_way.mkdir()
                asyncio.run(_ask(app, "BGSAVE"))
                eventually(lambda: "cannot save to its disk" in refusal(app, 1), every=0.2, what="a refusal")
                asyncio.run(counted(app))  # it can be read
                in_the_way.rmdir()
                eventually(lambda: asyncio.run(_ask(app, "BGSAVE")), what="another try to save")
                more = eventually(lambda: _sent(app, 2), within=60, every=0.2, what="a submission after the outage")
                assert more is not None
                assert more.get(timeout=60) == 2

    def test_a_wrong_password_is_told_in_one_line(self, shop: Shop) -> None:
        with servers.Redis(requirepass=servers.PASSWORD) as server:
            url = server.url.replace(servers.PASSWORD, "wrong")
            with pytest.raises(ConfigurationError, match="the login is refused"):
                shop.app(url).send_task("add", (1,))
            with launched("worker", "app.py", cwd=shop.folder, env={"PENSTOCK_BROKER_URL": url}) as process:
                assert process.process.wait(60) != 0
                said = process.printed()
            assert "the login is refused" in said
            assert "Traceback" not in said
            assert "wrong@" not in said


def _sent(app: Penstock, x: int) -> AsyncResult[Any] | None:
    """Submit; None if that is refused."""
    try:
        return app.send_task("add", (x,))
    except (Unavailable, StorageError):
        return None


async def _ask(app: Penstock, *command: str) -> Any:
    async with app.backends() as backends:
        [answer] = await backends.broker.driver.ask([command])  # type: ignore[attr-defined]
        return answer


async def _configure(app: Penstock, name: str, value: str) -> None:
    await _ask(app, "CONFIG", "SET", name, value)


async def _pause(app: Penstock, paused: bool) -> None:
    async with app.backends() as backends:
        await backends.broker.pause("default", paused)
