"""The API as a real server, on SQLite and some on PostgreSQL: starting, refused, several processes, ending, dying."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.field import on_two
from tests.processes import Launched, alive, children, eventually, free_port, launched

APP = """
from penstock import Penstock

app = Penstock("shop")


@app.task
def add(x: int, y: int = 1) -> int:
    return x + y
"""

SECRET = "a-secret-of-enough-length"
KEY = {"X-API-Key": SECRET}


class Server:
    """A running API, and requests to it."""

    def __init__(self, process: Launched, port: int) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        return httpx.request(method, f"{self.url}{path}", timeout=90, **request)

    def submit(self, **more: Any) -> str:
        answer = self("POST", "/tasks", json={"task": "add", "args": [2, 3], **more})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    def raw(self, request: bytes) -> bytes:
        """What the server answers to these bytes, until it closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=90) as connection:
            connection.sendall(request)
            answer = b""
            while part := connection.recv(65536):
                answer += part
            return answer


@contextmanager
def serving(folder: Path, *options: str, app: str = APP, **env: str) -> Iterator[Server]:
    (folder / "app.py").write_text(app)
    port = free_port()
    with launched("api", "app.py", "--port", str(port), *options, cwd=folder, env=env) as process:
        process.prints("API on")
        yield Server(process, port)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that no test ends."""
    with serving(tmp_path_factory.mktemp("api")) as found:
        yield found


def refused(folder: Path, *options: str, **env: str) -> str:
    """What a server that cannot start says; it must be one line, and a failure."""
    (folder / "app.py").write_text(APP)
    with launched("api", "app.py", *options, cwd=folder, env=env) as process:
        assert process.process.wait(60) != 0
        said = process.printed()
    assert len(said.splitlines()) == 1, said
    assert "Traceback" not in said
    return said


class TestStarting:
    def test_it_says_where_it_is_and_where_the_data_is(self, server: Server) -> None:
        said = server.process.printed()
        assert server.url in said
        assert f"{server.url}/docs" in said
        assert str(server.process.cwd / "penstock.db") in said
        assert len(said.splitlines()) == 2

    def test_requests_leave_no_noise(self, server: Server) -> None:
        before = server.process.printed()
        server("GET", "/tasks")
        server("GET", "/nowhere")
        assert server.process.printed() == before

    def test_a_port_in_use_is_one_line(self, server: Server, tmp_path: Path) -> None:
        for processes in ("1", "2"):
            said = refused(tmp_path, "--port", str(server.port), "--processes", processes)
            assert str(server.port) in said
            assert "in use" in said

    def test_beyond_loopback_it_needs_keys(self, tmp_path: Path) -> None:
        said = refused(tmp_path, "--host", "0.0.0.0", "--port", str(free_port()))  # noqa: S104  (it is refused)
        assert "PENSTOCK_API_KEYS" in said
        assert "--insecure" in said

    def test_beyond_loopback_with_keys_or_on_ones_own_responsibility(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--host", "0.0.0.0", PENSTOCK_API_KEYS=SECRET) as found:  # noqa: S104  (with a key)
            assert found("GET", "/tasks").status_code == 401
            assert found("GET", "/tasks", headers=KEY).status_code == 200
            assert SECRET not in found.process.printed()
        with serving(tmp_path, "--host", "0.0.0.0", "--insecure") as found:  # noqa: S104  (for this test)
            assert found("GET", "/tasks").status_code == 200

    def test_faulty_keys_are_told_without_their_secrets(self, tmp_path: Path) -> None:
        said = refused(tmp_path, "--port", str(free_port()), PENSTOCK_API_KEYS=f"{SECRET}=everything")
        assert "PENSTOCK_API_KEYS: key 1" in said
        assert SECRET not in said

    def test_a_faulty_rate_is_one_line(self, tmp_path: Path) -> None:
        assert "fast" in refused(tmp_path, "--port", str(free_port()), PENSTOCK_API_RATE_LIMIT="fast")

    def test_a_corrupt_database_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "penstock.db").write_bytes(b"this is not a database" * 1000)
        for processes in ("1", "2"):
            said = refused(tmp_path, "--port", str(free_port()), "--processes", processes)
            assert str(tmp_path / "penstock.db") in said

    def test_a_database_that_cannot_be_made_is_one_line(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        refused(tmp_path, "--port", str(free_port()), PENSTOCK_BROKER_URL=f"sqlite:///{tmp_path}/file/p.db")


class TestServing:
    @on_two
    def test_a_task_survives_a_restart_of_the_server(self, tmp_path: Path, store: str) -> None:
        with serving(tmp_path, PENSTOCK_BROKER_URL=store) as found:
            task_id = found.submit()
            found.process.kill_tree()
            found.process.restart()
            eventually(lambda: found.process.printed().count("API on") == 2)
            assert found("GET", f"/tasks/{task_id}").json()["status"] == "PENDING"

    def test_what_is_not_http_gets_a_problem_too(self, server: Server) -> None:
        answer = server.raw(b"GARBAGE\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == 400

    def test_too_large_a_body_is_refused_before_it_has_arrived(self, server: Server) -> None:
        announced = server.raw(
            b"POST /tasks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n"
            b"content-length: 999999999\r\n\r\n{"
        )
        assert announced.startswith(b"HTTP/1.1 413 ")

        def endless() -> Iterator[bytes]:
            for _ in range(200):
                yield b" " * 65536

        chunked = server("POST", "/tasks", content=endless(), headers={"content-type": "application/json"})
        assert chunked.status_code == 413

    def test_a_raw_message_may_be_larger_than_a_task(self, server: Server) -> None:
        body = os.urandom(11_000_000)
        answer = server(
            "POST", "/queues/large/messages", content=body, headers={"content-type": "application/octet-stream"}
        )
        assert answer.json() == {"queue": "large", "size": len(body)}

    @on_two
    def test_events_arrive_as_they_happen(self, tmp_path: Path, store: str) -> None:
        env = {"PENSTOCK_BROKER_URL": store}
        with serving(tmp_path, **env) as found:
            task_id = found.submit()
            with httpx.stream("GET", f"{found.url}/tasks/{task_id}/events", timeout=90) as stream:
                lines = (line for line in stream.iter_lines() if line.startswith("data: "))
                assert json.loads(next(lines)[6:])["status"] == "PENDING"
                with launched("worker", "app.py", "--processes", "1", cwd=tmp_path, env=env):
                    statuses = [json.loads(line[6:]).get("status") for line in lines]
            assert statuses[-1] == "SUCCESS"
            assert found("GET", f"/tasks/{task_id}").json()["result"] == 5

    def test_a_caller_may_wait_for_the_result(self, tmp_path: Path) -> None:
        with serving(tmp_path) as found, launched("worker", "app.py", "--processes", "1", cwd=tmp_path):
            answer = found("POST", "/tasks/add", json={"x": 2, "y": 3}, headers={"Prefer": "wait=20"})
            assert (answer.status_code, answer.json()["result"]) == (200, 5)
            assert answer.headers["preference-applied"] == "wait"

    def test_a_task_that_does_not_end_in_time_is_202_when_the_time_is_up(self, server: Server) -> None:
        began = time.monotonic()
        answer = server("POST", "/tasks/add", json={"x": 2}, headers={"Prefer": "wait=1"})
        assert time.monotonic() - began >= 1
        assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
        assert "preference-applied" not in answer.headers

    def test_a_202_is_kept_before_the_wait_so_that_a_replay_need_not_wait(self, tmp_path: Path) -> None:
        with serving(tmp_path) as found:
            answers: list[httpx.Response] = []
            headers = {"Idempotency-Key": "k"}

            def wait() -> None:
                answers.append(found("POST", "/tasks/add", json={"x": 2}, headers={**headers, "Prefer": "wait=60"}))

            waiting = threading.Thread(target=wait)
            waiting.start()
            (item,) = eventually(lambda: found("GET", "/tasks").json()["items"])
            replay = eventually(lambda: accepted(found("POST", "/tasks/add", json={"x": 2}, headers=headers)))
            assert replay == {"task_id": item["task_id"], "status": "PENDING"}
            assert not answers, "the first still waits"
            with launched("worker", "app.py", "--processes", "1", cwd=tmp_path):
                waiting.join(60)
            assert (answers[0].status_code, answers[0].json()["task_id"]) == (200, item["task_id"])


class TestProcesses:
    def test_one_that_dies_is_replaced_and_nobody_is_turned_away(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--processes", "2") as found:
            first = eventually(lambda: two(children(found.process.pid)))
            os.kill(first[0], signal.SIGKILL)
            for _ in range(50):
                assert found("GET", "/health/live").status_code == 200
            second = eventually(lambda: two(children(found.process.pid)))
            assert first[0] not in second
            assert first[1] in second

    def test_requests_are_counted_over_all_of_them_also_after_a_death(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--processes", "2") as found:
            for _ in range(40):
                found("GET", "/queues")
            os.kill(children(found.process.pid)[0], signal.SIGKILL)
            counted = 'penstock_api_requests_total{method="GET",path="/queues",status="200"} 40'
            assert counted in found("GET", "/metrics").text

    def test_the_rate_limit_is_the_servers_not_each_ones(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--processes", "2", PENSTOCK_API_RATE_LIMIT="30/h") as found:
            statuses = [found("GET", "/queues").status_code for _ in range(40)]
            assert statuses.count(200) == 30
            assert statuses.count(429) == 10

    def test_they_end_with_their_supervisor_even_if_it_is_killed(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--processes", "2") as found:
            pids = eventually(lambda: two(children(found.process.pid)))
            os.kill(found.process.pid, signal.SIGKILL)
            eventually(lambda: not any(map(alive, pids)), what="the processes end")

    def test_all_end_at_sigterm_with_exit_code_0(self, tmp_path: Path) -> None:
        with serving(tmp_path, "--processes", "2") as found:
            pids = eventually(lambda: two(children(found.process.pid)))
            assert found.process.stop() == 0
            assert not any(map(alive, pids))


def two(pids: list[int]) -> list[int]:
    return pids if len(pids) == 2 else []


class TestEnding:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_waits_are_answered_and_streams_end(self, tmp_path: Path, number: signal.Signals) -> None:
        with serving(tmp_path) as found:
            task_id = found.submit()
            answers: dict[str, Any] = {}

            def wait() -> None:
                answers["wait"] = found("POST", "/tasks/add", json={"x": 1}, headers={"Prefer": "wait=60"})

            def watch() -> None:
                with httpx.stream("GET", f"{found.url}/tasks/{task_id}/events", timeout=90) as stream:
                    answers["began"] = True
                    answers["stream"] = stream.read()

            threads = [threading.Thread(target=each) for each in (wait, watch)]
            for thread in threads:
                thread.start()
            eventually(lambda: "began" in answers and len(found("GET", "/tasks").json()["items"]) == 2)
            found.process.process.send_signal(number)
            for thread in threads:
                thread.join(40)  # less than what was asked for
            assert found.process.process.wait(60) == 0
            assert answers["wait"].status_code == 202
            assert b"PENDING" in answers["stream"]

    def test_a_request_in_flight_finishes(self, tmp_path: Path) -> None:
        with serving(tmp_path) as found:
            body = b'{"task": "add", "args": [1]}'
            with socket.create_connection(("127.0.0.1", found.port), timeout=90) as connection:
                connection.sendall(
                    b"POST /tasks HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\nexpect: 100-continue\r\n\r\n" % len(body)
                )
                assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
                found.process.process.terminate()
                eventually(lambda: not _reachable(found.port), what="nobody new is let in")
                connection.sendall(body)
                assert connection.recv(10_000).startswith(b"HTTP/1.1 202 ")
            assert found.process.process.wait(60) == 0


def _reachable(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


CRASHING = (
    APP
    + """

import os
from pathlib import Path

from penstock.api import idempotency
from penstock.client.submit import Submitter

idempotency.HELD = float(Path("held").read_text())
submit = Submitter.submit


async def crash_once(self, submissions):
    if os.environ["CRASH"] == "after":
        await submit(self, submissions)
    if not Path("crashed").exists():
        Path("crashed").touch()
        os._exit(9)
    if os.environ["CRASH"] == "before":
        await submit(self, submissions)


Submitter.submit = crash_once
"""
)


class TestOnceOnly:
    @pytest.mark.parametrize(
        ("when", "store"), [("before", "sqlite"), ("after", "sqlite"), ("after", "postgres")], indirect=["store"]
    )
    def test_a_crash_around_the_publish_leaves_one_task(self, tmp_path: Path, when: str, store: str) -> None:
        held = tmp_path / "held"
        held.write_text("300")
        with serving(tmp_path, app=CRASHING, CRASH=when, PENSTOCK_BROKER_URL=store) as found:
            request: dict[str, Any] = {"json": {"task": "add", "args": [2, 3]}, "headers": {"Idempotency-Key": "k"}}
            with pytest.raises(httpx.HTTPError):
                found("POST", "/tasks", **request)
            assert found.process.process.wait(60) == 9
            found.process.restart()
            eventually(lambda: found.process.printed().count("API on") == 2)
            early = found("POST", "/tasks", **request)
            assert early.status_code == 409
            held.write_text("0.1")
            found.process.kill_tree()
            found.process.restart()
            eventually(lambda: found.process.printed().count("API on") == 3)
            late = eventually(lambda: accepted(found("POST", "/tasks", **request)))
            (item,) = found("GET", "/tasks").json()["items"]
            assert late["task_id"] == item["task_id"]
            assert found("GET", "/queues").json()["items"][0]["ready"] == 1


def accepted(answer: httpx.Response) -> dict[str, Any]:
    content: dict[str, Any] = answer.json()
    return content if answer.status_code == 202 else {}
