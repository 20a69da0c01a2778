"""Ten thousand tasks over HTTP all end, also when processes are killed; read from the file, from outside.

The ledger is the test's own: an id is in it once its 202 has arrived.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sqlite3
import threading
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Self

import pytest

from tests.processes import Launched, alive, children, eventually, free_port, launched

TASKS = 10_000
CLIENTS = 32

APP = """
from penstock import Penstock

app = Penstock("shop")


@app.task
def add(x: int, y: int) -> int:
    return x + y
"""


class Ledger:
    """32 clients that post until all are accepted; whoever gets no answer asks again, with a new task."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self.accepted: list[str] = []
        self.refused: Counter[int] = Counter()
        self._left = iter(range(TASKS))
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._post, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def _take(self) -> int | None:
        with self._lock:
            return next(self._left, None)

    def _post(self, client: int) -> None:
        port = self.ports[client % len(self.ports)]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
        while (number := self._take()) is not None:
            while not self._accepted(connection, number):
                connection.close()
        connection.close()

    def _accepted(self, connection: http.client.HTTPConnection, number: int) -> bool:
        body = json.dumps({"task": "add", "args": [number, 1]})
        try:
            connection.request("POST", "/tasks", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            content = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            eventually(lambda: _reachable(connection), within=100, what="the API is back")
            return False
        if answer.status != 202:
            self.refused[answer.status] += 1
            return False
        self.accepted.append(content["task_id"])
        return True


def _reachable(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.close()
        connection.connect()
    except OSError:
        return False
    return True


class Outside:
    """The file as anybody may read it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self, statement: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=90)) as connection:
            return connection.execute(statement).fetchall()

    def endings(self) -> dict[str, str]:
        return {str(task_id): str(state) for task_id, state in self.rows("SELECT task_id, state FROM records")}

    def holders(self) -> list[str]:
        """The leases under which messages are claimed at this moment."""
        return [str(lease) for (lease,) in self.rows("SELECT DISTINCT lease FROM messages WHERE lease IS NOT NULL")]


def all_succeeded(outside: Outside, ledger: Ledger) -> None:
    def ended() -> bool:
        return outside.rows("SELECT count(*) FROM records WHERE state IN ('PENDING', 'STARTED', 'RETRY')") == [(0,)]

    eventually(ended, within=100, every=0.1, what="every record has ended")
    endings = outside.endings()
    assert len(ledger.accepted) == len(set(ledger.accepted)) == TASKS
    assert Counter(endings.get(task_id, "lost") for task_id in ledger.accepted) == {"SUCCESS": TASKS}
    assert outside.rows("SELECT count(*) FROM messages") == [(0,)]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


def api(stack: ExitStack, place: Path, *options: str) -> tuple[Launched, int]:
    port = free_port()
    process = stack.enter_context(launched("api", "shop.py", "--port", str(port), *options, cwd=place))
    process.prints(f":{port}")
    return process, port


def worker(stack: ExitStack, place: Path, *options: str) -> Launched:
    process = stack.enter_context(launched("worker", "shop.py", *options, cwd=place))
    process.prints("ready")
    return process


def test_ten_thousand_tasks_of_32_clients_all_end_in_success(place: Path) -> None:
    with ExitStack() as stack:
        _, port = api(stack, place)
        worker(stack, place)
        with Ledger([port]) as ledger:
            pass
        all_succeeded(Outside(place / "penstock.db"), ledger)
        assert not ledger.refused


def test_two_apis_and_three_workers_share_one_file_and_nobody_sees_a_lock(place: Path) -> None:
    with ExitStack() as stack:
        first, port = api(stack, place)
        second, other = api(stack, place)
        workers = [worker(stack, place, "--processes", "1") for _ in range(3)]
        with Ledger([port, other]) as ledger:
            pass
        all_succeeded(Outside(place / "penstock.db"), ledger)
        assert not ledger.refused
        for process in (first, second, *workers):
            assert "locked" not in process.printed()
            assert "Traceback" not in process.printed()


def kill_holder(outside: Outside, port: int, supervisor: Launched) -> int:
    """SIGKILL a worker child while it holds a delivery; return its pid.

    It is stopped first, and looked at again: one that does not run cannot settle between the look and the end.
    """

    def owners() -> dict[str, int]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with closing(connection):
            connection.request("GET", "/workers")
            items = json.loads(connection.getresponse().read())["items"]
        return {child["lease"]: child["pid"] for item in items for child in item["status"].get("children", [])}

    known = eventually(owners, what="the children are reported")

    def caught() -> int:
        for lease in outside.holders():
            if (pid := known.get(lease)) is None:
                continue
            assert pid in children(supervisor.pid)
            os.kill(pid, signal.SIGSTOP)
            if lease in outside.holders():
                os.kill(pid, signal.SIGKILL)
                return pid
            os.kill(pid, signal.SIGCONT)
        return 0

    return eventually(caught, every=0, what="a child holds a delivery")


def test_kills_of_child_worker_and_api_lose_no_accepted_task(place: Path) -> None:
    outside = Outside(place / "penstock.db")
    with ExitStack() as stack:
        server, port = api(stack, place)
        crew = worker(stack, place, "--processes", "2")
        with Ledger([port]) as ledger:

            def accepted(count: int) -> None:
                eventually(lambda: len(ledger.accepted) >= count, within=100, what=f"{count} accepted")

            accepted(1_500)
            killed = kill_holder(outside, port, crew)
            eventually(lambda: not alive(killed), what="the child is gone")
            eventually(lambda: len(children(crew.pid)) >= 3, what="the child is replaced")
            accepted(4_000)
            crew.kill_tree()
            crew.restart()
            accepted(6_500)
            server.kill_tree()
            server.restart()
        all_succeeded(outside, ledger)
