"""How a worker starts, or says why it does not; how it shows that it is well; what it costs while idle."""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
import time
from pathlib import Path

import pytest

from penstock.core.states import SUCCESS
from tests.integration.field import Field
from tests.processes import eventually, launched, tree


def fails_with(field: Field, app: str, *options: str, env: dict[str, str] | None = None) -> str:
    """Start a worker that cannot work; the one line that it says."""
    with launched("worker", app, *options, cwd=field.folder, env={**field.env, **(env or {})}) as process:
        assert process.process.wait(60) != 0
        printed = [line for line in process.printed().splitlines() if " running as root" not in line]
    errors = [line for line in printed if line.startswith("error: ")]
    assert len(errors) == 1, printed
    assert "Traceback" not in "\n".join(printed)
    return errors[0]


def test_an_app_that_does_not_import_is_one_clear_line(field: Field) -> None:
    (field.folder / "broken.py").write_text("import nothing_of_that_name\n")
    assert "nothing_of_that_name" in fails_with(field, "broken.py")
    assert "there is no file" in fails_with(field, "missing.py")


def test_a_file_that_is_no_database_is_one_clear_line(field: Field) -> None:
    (field.folder / "field.db").write_bytes(b"this is not a database, it is a text of some length" * 100)
    assert "field.db" in fails_with(field, "worker_app.py")


def test_a_url_that_nothing_serves_is_one_clear_line(field: Field) -> None:
    assert "nosuch://" in fails_with(field, "worker_app.py", env={"PENSTOCK_BROKER_URL": "nosuch://x"})


def test_a_port_in_use_is_one_clear_line(field: Field) -> None:
    with field.worker("--health-port", "0") as worker:
        port = health_port(worker.process.printed())
        assert str(port) in fails_with(field, "worker_app.py", "--health-port", str(port))


def test_a_name_that_is_taken_is_one_clear_line(field: Field) -> None:
    with field.worker("--name", "me"):
        assert "me@" in fails_with(field, "worker_app.py", "--name", "me")


def test_a_worker_that_was_killed_gives_its_name_to_the_next(field: Field) -> None:
    with field.worker("--name", "me") as worker:
        worker.process.kill_tree()
    with field.worker("--name", "me"):
        assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS


def test_a_child_that_cannot_start_is_tried_again_with_growing_pauses(field: Field) -> None:
    """An app whose import works once, in the supervisor, and whose children die before they are ready."""
    (field.folder / "doomed.py").write_text(
        "import os\nfrom worker_app import app\nos.register_at_fork(after_in_child=lambda: os._exit(9))\n"
    )
    with launched("worker", "doomed.py", "--processes", "1", cwd=field.folder, env=field.env) as process:
        eventually(lambda: process.printed().count("died (exit code 9)") >= 4)
        count = process.printed().count("died (exit code 9)")
        assert count < 12
        assert process.stop() in {0, 1}


def test_a_worker_registers_what_it_is_and_what_it_knows(field: Field) -> None:
    with field.worker("-Q", "a,b", "--threads", "3", "--concurrency", "7", "--name", "w", processes=2) as worker:
        [info] = field.workers()
        assert (info.pid, info.queues, info.processes, info.threads, info.concurrency) == (
            worker.pid,
            ["a", "b"],
            2,
            3,
            7,
        )
        assert info.name.startswith("w@")
        assert info.tasks["add"]["required"] == ["x", "y"]
        eventually(lambda: reported(field) == worker.children, what="both children are reported")
        assert worker.process.stop() == 0
    eventually(lambda: field.workers() == [], what="its entry is gone")


def reported(field: Field) -> list[int]:
    return sorted(child["pid"] for child in field.workers()[0].status["children"])


def health_port(printed: str) -> int:
    return int(printed.split("health port: ", 1)[1].split(maxsplit=1)[0].rsplit(":", 1)[1])


def probe(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_the_health_port_tells_who_is_well(field: Field) -> None:
    with field.worker("--health-port", "0") as worker:
        port = health_port(worker.process.printed())
        field.ended(field.send("add", 1, 2))
        status, body = probe(port, "/health/live")
        assert (status, json.loads(body)["live"]) == (200, True)
        assert list(json.loads(body)["seconds_since_fetch"]) == [str(pid) for pid in worker.children]
        assert probe(port, "/health/ready") == (200, '{"ready": true}')
        status, body = probe(port, "/metrics")
        assert status == 200
        assert f'penstock_worker_processed_total{{pid="{worker.children[0]}"}} 1' in body
        assert probe(port, "/nothing")[0] == 404


def test_an_unknown_user_is_one_clear_line(field: Field) -> None:
    assert "no such user" in fails_with(field, "worker_app.py", "--uid", "nobody-at-all")


def test_a_worker_waits_out_an_outage_and_goes_on(field: Field) -> None:
    """Another program holds the database's write lock; nothing can be fetched, recorded or renewed meanwhile."""
    with field.worker() as worker:
        running = field.send("rest", 0.5)
        field.begun(running)
        blocker = sqlite3.connect(field.folder / "field.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        eventually(lambda: field.events(running) == ["begin", "end"])
        held = time.monotonic()
        eventually(lambda: time.monotonic() - held > 1.0)
        blocker.execute("ROLLBACK")
        blocker.close()
        assert field.ended(running)[0].state == SUCCESS
        assert field.ended(field.send("add", 1, 2))[0].state == SUCCESS
        assert len(worker.children) == 1
    assert field.runs()[running] == 1


@pytest.mark.alone
def test_a_worker_with_too_little_to_do_costs_little(field: Field) -> None:
    with field.worker(processes=2) as worker:
        pids = tree(worker.pid)
        field.ended(field.send("add", 1, 2))
        assert max(pss(pid) for pid in pids) < 35.0
        before = ticks(pids)
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 3.0)
        assert ticks(pids) - before <= 0.05 * 3.0 * os.sysconf("SC_CLK_TCK")  # 5 % of a core, for all four


def pss(pid: int) -> float:
    """Proportional set size in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def ticks(pids: list[int]) -> int:
    """Processor time used, in clock ticks."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields)
