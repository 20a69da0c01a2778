"""The API is asked everything that /openapi.json allows, and what it does not, on SQLite and with a real worker.

schemathesis does the asking, with all its checks: no 5xx, no answer that is not described, nothing accepted that the
description rules out and nothing refused that it allows, no key ignored. What it is told besides stands, each with its
reason, in fuzzing/schemathesis.toml and fuzzing/hooks.py.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.processes import Launched, clean_environment, free_port, launched

SUPPORT = Path(__file__).with_name("fuzzing")
APP = str(SUPPORT / "app.py")
SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))

ALL = "a-key-that-may-do-everything"
READER = "a-key-that-may-only-look"
COUNTER = "a-key-of-those-who-count"
RAW = {"content-type": "application/octet-stream"}


@dataclass
class Field:
    """A server with a worker, in which things happen: tasks fail, messages die, a worker that was ended is replaced."""

    folder: Path
    port: int
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def live(self, worker: Launched, over: threading.Event) -> None:
        with httpx.Client(base_url=self.url, headers=self.headers, timeout=30) as client:
            while not over.wait(0.2):
                if worker.process.poll() is not None:
                    worker.restart()
                with contextlib.suppress(httpx.HTTPError):  # what matters is found by what asks in earnest
                    client.post("/queues/default/messages", content=b"no task at all", headers=RAW)
                    client.post("/queues/default/resume")
                    client.post("/tasks/fail", json={"text": "on purpose"})

    def ask(self, *options: str, key: str = "") -> str:
        """Let schemathesis ask; return what it says, which must be that all is well."""
        config = (SUPPORT / "schemathesis.toml").read_text()
        if key:
            config += f'\n[auth.openapi.bearer]\nbearer = "{key}"\n'
        (self.folder / "schemathesis.toml").write_text(config)
        answer = httpx.get(f"{self.url}/openapi.json", headers={"X-API-Key": key} if key else {}, timeout=30)
        (self.folder / "openapi.json").write_text(answer.raise_for_status().text)
        done = subprocess.run(
            [SCHEMATHESIS, "run", "openapi.json", "--url", self.url, "--no-color", *options],
            cwd=self.folder,
            env={**clean_environment(), "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(SUPPORT), "CI": "true"},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def answered(self) -> dict[str, set[int]]:
        """By route, the statuses that it has answered."""
        found: dict[str, set[int]] = {}
        metrics = httpx.get(f"{self.url}/metrics", headers={"X-API-Key": COUNTER}, timeout=30).text
        for method, path, status in re.findall(
            r'^penstock_api_requests_total{method="(\w+)",path="(.+)",status="(\d+)"}', metrics, re.MULTILINE
        ):
            found.setdefault(f"{method} {path}", set()).add(int(status))
        return found


@contextmanager
def fuzzed(folder: Path, key: str = "", env: Mapping[str, str] | None = None) -> Iterator[Field]:
    found = Field(folder, free_port(), {"X-API-Key": key} if key else {})
    database = {"PENSTOCK_BROKER_URL": f"sqlite:///{folder}/penstock.db", **(env or {})}
    with (
        launched("api", APP, "--port", str(found.port), cwd=folder, env=database) as api,
        launched("worker", APP, "--processes", "1", cwd=folder, env=database) as worker,
    ):
        api.prints("API on")
        worker.prints("ready:")
        over = threading.Event()
        life = threading.Thread(target=found.live, args=(worker, over))
        life.start()
        try:
            yield found
        finally:
            over.set()
            life.join()
        assert "Traceback" not in api.printed(), api.printed()


def check_exercised(answered: Mapping[str, set[int]]) -> None:
    """That the questions got somewhere: most routes have also done what they are for. No 5xx, whoever asked."""
    assert not {status for statuses in answered.values() for status in statuses if status >= 500}, answered
    idle = [route for route, statuses in answered.items() if min(statuses) >= 400]
    assert len(answered) >= 34
    assert len(idle) <= 3, idle


def test_without_keys_every_answer_is_one_that_is_described(tmp_path: Path) -> None:
    with fuzzed(tmp_path) as server:
        said = server.ask("--max-examples", "5")
        assert re.search(r"Coverage.*Fuzzing.*Stateful", said, re.DOTALL)
        check_exercised(server.answered())


def test_with_a_key_too_and_no_route_forgets_to_ask_for_it(tmp_path: Path) -> None:
    with fuzzed(tmp_path, ALL, {"PENSTOCK_API_KEYS": f"{ALL},{COUNTER}"}) as server:
        server.ask("--max-examples", "10", "--phases", "fuzzing,stateful", key=ALL)
        answered = server.answered()
        check_exercised(answered)
        open_to_all = {route for route, statuses in answered.items() if 401 not in statuses}
        assert {"GET /health/live", "GET /health/ready", "GET /"} <= open_to_all
        assert len(open_to_all) < len(answered) / 2


def test_with_a_key_that_may_only_look_and_a_rate_limit_the_refusals_are_described_too(tmp_path: Path) -> None:
    keys = {"PENSTOCK_API_KEYS": f"{READER}=read,{ALL},{COUNTER}", "PENSTOCK_API_RATE_LIMIT": "60/m"}
    with fuzzed(tmp_path, ALL, keys) as server:
        server.ask("--max-examples", "5", "--phases", "fuzzing", key=READER)
        # what was asked so far may stay below the limit, so ask on until it is reached
        looks = [httpx.get(f"{server.url}/queues", headers={"X-API-Key": READER}, timeout=30) for _ in range(61)]
        assert {look.status_code for look in looks} <= {200, 429}
        assert looks[-1].status_code == 429
        answered = {status for statuses in server.answered().values() for status in statuses}
        assert {401, 403, 404, 429} <= answered
