"""`penstock dev`: everything in one go, reloaded when the source changes, and nothing of it left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.commands import APP
from tests.processes import PENSTOCK, Launched, alive, eventually, free_port, launched, tree

READY = "Ctrl-C ends it all"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def dev(tmp_path: Path, port: int) -> Iterator[Launched]:
    """`penstock dev` in a folder with app.py, ready."""
    (tmp_path / "app.py").write_text(APP)
    with launched("dev", "--port", str(port), cwd=tmp_path) as process:
        process.prints(READY)
        yield process


def finished(url: str) -> dict[str, object]:
    def ended() -> dict[str, object]:
        record: dict[str, object] = httpx.get(url).json()
        return record if record["finished_at"] else {}

    return eventually(ended)


def add(port: int) -> object:
    """Submit add(2, 3) and wait for its result."""
    base = f"http://127.0.0.1:{port}"
    location = httpx.post(f"{base}/tasks", json={"task": "add", "args": [2, 3]}, timeout=30).headers["location"]
    return finished(base + location)["result"]


@pytest.mark.usefixtures("dev")
def test_the_two_curl_lines_of_the_readme_answer_as_they_say(port: int) -> None:
    submit = ["/usr/bin/curl", "-sS", "-i", "-X", "POST", f"localhost:{port}/tasks"]
    body = ["-H", "content-type: application/json", "-d", '{"task":"add","args":[2,3]}']
    answer = subprocess.run([*submit, *body], capture_output=True, text=True, check=True).stdout
    head, _, content = answer.partition("\n\n")
    assert head.startswith("HTTP/1.1 202")
    task_id = json.loads(content)["task_id"]
    assert f"location: /tasks/{task_id}" in head.lower()
    finished(f"http://127.0.0.1:{port}/tasks/{task_id}")
    look = ["/usr/bin/curl", "-sS", f"localhost:{port}/tasks/{task_id}"]
    record = json.loads(subprocess.run(look, capture_output=True, text=True, check=True).stdout)
    assert record | {"children": [], "result": 5, "status": "SUCCESS", "traceback": None} == record


def test_it_prints_the_addresses_the_database_and_a_line_to_try(dev: Launched, port: int) -> None:
    printed = dev.printed()
    assert f"http://127.0.0.1:{port}/docs" in printed
    assert str(dev.cwd / "penstock.db") in printed
    line = re.search(r"curl .*", printed)
    assert line is not None
    answer = subprocess.run(["/bin/sh", "-c", line[0]], capture_output=True, text=True, check=True).stdout
    assert finished(f"http://127.0.0.1:{port}/tasks/{json.loads(answer)['task_id']}")["status"] == "SUCCESS"


def test_a_change_is_picked_up_and_no_request_fails_meanwhile(dev: Launched, port: int) -> None:
    assert add(port) == 5
    (dev.cwd / "app.py").write_text(APP.replace("return x + y", "return x + y + 100"))
    dev.prints("reloaded")
    assert add(port) == 105


def test_a_syntax_error_is_one_line_and_the_next_change_heals_it(dev: Launched, port: int) -> None:
    before = dev.printed().count("\n")
    (dev.cwd / "app.py").write_text(APP + "\ndef broken(:\n")
    dev.prints("goes on")
    lines = dev.printed().splitlines()[before:]
    assert len([line for line in lines if "SyntaxError" in line]) == 1
    assert "Traceback" not in dev.printed()
    assert add(port) == 5
    (dev.cwd / "app.py").write_text(APP.replace("return x + y", "return x * y"))
    dev.prints("reloaded")
    assert add(port) == 6


def test_a_new_file_below_the_folder_counts_as_a_change(dev: Launched, port: int) -> None:
    (dev.cwd / "orders").mkdir()
    (dev.cwd / "orders" / "prices.py").write_text("EUR = 1\n")
    dev.prints("prices.py changed: reloaded")
    assert add(port) == 5


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_its_children_never_outlive_it(dev: Launched, number: int, code: int) -> None:
    family = tree(dev.pid)
    assert len(family) >= 4, "itself, the API, the worker and its processes"
    dev.process.send_signal(number)
    assert dev.process.wait(30) == code
    eventually(lambda: not any(alive(pid) for pid in family), what="the end of all its processes")
    assert "Traceback" not in dev.printed()


def test_ctrl_c_while_the_app_is_imported_is_quiet_and_quick(tmp_path: Path, port: int) -> None:
    (tmp_path / "app.py").write_text(
        "import time\n\nprint('importing', flush=True)\nopen('begun', 'w').close()\ntime.sleep(60)\n"
    )
    with launched("dev", "--port", str(port), cwd=tmp_path) as process:
        eventually((tmp_path / "begun").exists, what="the import of the app")
        family = tree(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
        assert process.process.wait(45) == 130
        assert process.printed() == ""
        eventually(lambda: not any(alive(pid) for pid in family), what="the end of the process that imports")


def test_without_an_app_it_says_what_it_looked_for(tmp_path: Path) -> None:
    done = subprocess.run([PENSTOCK, "dev"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "app.py" in done.stderr
    assert "tasks.py" in done.stderr


def test_tasks_py_is_taken_where_there_is_no_app_py(tmp_path: Path, port: int) -> None:
    (tmp_path / "tasks.py").write_text(APP)
    with launched("dev", "--port", str(port), cwd=tmp_path) as process:
        process.prints(READY)
        assert add(port) == 5


def test_it_listens_on_loopback_only_unless_there_are_keys(tmp_path: Path, port: int) -> None:
    (tmp_path / "app.py").write_text(APP)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    done = subprocess.run(
        [PENSTOCK, "dev", "--host", "0.0.0.0", "--port", str(port)],  # noqa: S104
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "PENSTOCK_API_KEYS" in done.stderr
