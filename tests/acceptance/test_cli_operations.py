"""What operators use: pause, purge, dead letters, raw messages, schedules, health, top, completion."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.commands import CommandLine
from tests.processes import PENSTOCK, eventually, launched

APP = """
import os
from penstock import Penstock

app = Penstock("shop")


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def kill(flag: str) -> str:
    if os.path.exists(flag):
        os.kill(os.getpid(), 9)
    return "alive"


@app.periodic(every=3600)
def hourly() -> None: ...
"""

IMPATIENT = {"PENSTOCK_MAX_DELIVERIES": "1", "PENSTOCK_LEASE": "1", "PENSTOCK_LEASE_RENEWAL": "0.3"}


@pytest.fixture
def shop(tmp_path: Path) -> CommandLine:
    (tmp_path / "app.py").write_text(APP)
    line = CommandLine(tmp_path, {"PENSTOCK_APP": "app.py"})
    line.ok("submit", "add", "[1, 1]", "--task-id", "first", "--queue", "aside")
    return line


@pytest.fixture
def worker(shop: CommandLine) -> Iterator[CommandLine]:
    """One worker with one process, whose tasks are given up after one crash."""
    with launched("worker", "app.py", "--processes", "1", cwd=shop.folder, env=IMPATIENT) as process:
        process.prints("ready:")
        yield shop


def test_drain_has_the_workers_of_this_host_finish_and_waits(shop: CommandLine) -> None:
    (shop.folder / "slow.py").write_text(
        "import time\nfrom penstock import Penstock\n\napp = Penstock('slow')\n\n\n"
        "@app.task\ndef nap(flag: str) -> None:\n    open(flag, 'w').close()\n    time.sleep(1)\n"
    )
    assert "no worker on" in shop.ok("worker", "--drain").out
    with launched("worker", "slow.py", "--processes", "1", "--name", "one", cwd=shop.folder) as process:
        process.prints("ready:")
        flag = shop.folder / "begun"
        shop.ok("submit", "nap", json.dumps([str(flag)]), "--task-id", "nap")
        eventually(flag.exists)
        assert shop("worker", "--drain", "--name", "other").code == 1
        name = shop.ok("workers", "--json").json["items"][0]["name"]
        assert f"{name} has finished" in shop.ok("worker", "--drain", "--name", "one").out
        assert process.process.wait(timeout=30) == 0
    assert shop.ok("show", "nap", "--json").json["status"] == "SUCCESS"


def depth(shop: CommandLine, name: str) -> dict[str, object]:
    queues: dict[str, dict[str, object]] = {queue["name"]: queue for queue in shop.ok("queues", "--json").json["items"]}
    return queues[name]


def test_a_paused_queue_delivers_nothing_until_it_is_resumed(worker: CommandLine) -> None:
    assert "resume default" in worker.ok("pause", "default").out
    assert depth(worker, "default")["paused"] is True
    assert "paused" in worker.ok("queues").out
    task_id = worker.ok("submit", "add", "[2, 3]").out.strip()
    assert worker("submit", "add", "[2, 3]", "--wait", "--timeout", "0.5").code == 1
    worker.ok("resume", "default")
    eventually(lambda: worker.ok("show", task_id, "--json").json["status"] == "SUCCESS")


def test_purging_asks_first_and_ends_what_waited_as_revoked(shop: CommandLine) -> None:
    shop.ok("submit", "add", "[1, 1]", "--queue", "aside", "--countdown", "60")
    assert shop("purge", "aside", stdin="n\n").code == 1
    assert depth(shop, "aside")["ready"] == 1
    assert "2 purged" in shop.ok("purge", "aside", stdin="y\n").out
    assert shop.ok("show", "first", "--json").json["status"] == "REVOKED"
    assert "0 purged" in shop.ok("purge", "aside", "--yes").out


def test_a_raw_message_is_put_as_it_is(shop: CommandLine) -> None:
    (shop.folder / "message").write_bytes(b"\x00\xff raw")
    shop.ok("publish", "-q", "raw", "message")
    shop.ok("publish", "-q", "raw", "-", stdin="from stdin")
    assert depth(shop, "raw")["ready"] == 2
    assert shop("publish", "message").code == 2


def dead(shop: CommandLine) -> list[dict[str, str]]:
    items: list[dict[str, str]] = shop.ok("dead", "list", "--json").json["items"]
    return items


def test_a_dead_letter_is_listed_shown_and_replayed(worker: CommandLine) -> None:
    flag = worker.folder / "flag"
    flag.touch()
    worker.ok("submit", "kill", json.dumps([str(flag)]), "--task-id", "deadly")
    (letter,) = eventually(lambda: dead(worker))
    assert letter["reason"] == "WorkerLostError"
    assert letter["task_id"] == "deadly"
    assert letter["id"] in worker.ok("dead", "list", "--reason", "WorkerLostError").out
    assert "deadly" not in worker.ok("dead", "list", "--queue", "other").out
    whole = worker.ok("dead", "show", letter["id"], "--json").json
    assert whole["headers"]["id"] == "deadly"
    assert "WorkerLostError" in worker.ok("dead", "show", letter["id"]).out
    flag.unlink()
    replayed = worker.ok("dead", "replay", letter["id"], "--json").json
    assert replayed == {"items": [{"id": letter["id"], "queue": "default", "task_id": "deadly"}]}
    eventually(lambda: worker.ok("show", "deadly", "--json").json["status"] == "SUCCESS")
    assert dead(worker) == []


def test_dead_letters_are_discarded_by_filter(worker: CommandLine) -> None:
    worker.ok("publish", "-q", "default", "-", stdin="no task at all")
    (letter,) = eventually(lambda: dead(worker))
    assert worker("dead", "discard").code == 2
    nobody = worker("dead", "discard", "nobody", "--json")
    assert (nobody.code, nobody.json) == (1, {"items": []})
    assert "nobody" in nobody.err
    assert letter["id"] in worker.ok("dead", "discard", "--queue", "default").out
    assert dead(worker) == []
    assert worker("dead", "show", letter["id"]).code == 1
    worker.ok("publish", "-q", "default", "-", stdin="no task either")
    (other,) = eventually(lambda: dead(worker))
    assert worker.ok("dead", "discard", "--all", "--json").json == {"items": [{"id": other["id"]}]}


def test_schedules_are_listed_with_their_next_due_time(worker: CommandLine) -> None:
    (schedule,) = eventually(lambda: worker.ok("schedules", "--json").json["items"])
    assert schedule["task"] == "hourly"
    assert schedule["every"] == 3600
    assert schedule["next_due"] is not None
    assert "every 1 h" in worker.ok("schedules").out or "every 60 m" in worker.ok("schedules").out
    assert worker.ok("schedules", "list").out == worker.ok("schedules").out


def test_schedules_are_paused_resumed_and_run_by_name(worker: CommandLine) -> None:
    eventually(lambda: worker.ok("schedules", "--json").json["items"])
    assert worker.ok("schedules", "pause", "hourly").out == "hourly  paused\n"
    assert worker.ok("schedules", "--json").json["items"][0]["paused"]
    assert "paused" in worker.ok("schedules").out
    name, task_id = worker.ok("schedules", "run", "hourly").out.split()
    assert name == "hourly"
    eventually(lambda: worker.ok("show", task_id, "--json").json["status"] == "SUCCESS")
    assert worker.ok("schedules", "resume", "hourly").out == "hourly  resumed\n"
    assert not worker.ok("schedules", "--json").json["items"][0]["paused"]
    for action, paused in (("pause", True), ("resume", False)):
        (schedule,) = worker.ok("schedules", action, "hourly", "--json").json["items"]
        assert (schedule["name"], schedule["paused"]) == ("hourly", paused)
    (task,) = worker.ok("schedules", "run", "hourly", "--json").json["items"]
    assert task["status"] == "PENDING"
    assert worker.ok("show", task["task_id"], "--json").json["task"] == "hourly"
    for action in ("pause", "resume", "run"):
        outcome = worker("schedules", action, "nightly")
        assert outcome.code == 1
        assert "there is no schedule 'nightly'" in outcome.err


def test_what_is_done_to_queues_is_told_as_json_with_the_names_of_the_http_api(shop: CommandLine) -> None:
    assert shop.ok("pause", "aside", "--json").json == {"name": "aside", "paused": True}
    assert shop.ok("resume", "aside", "--json").json == {"name": "aside", "paused": False}
    assert shop.ok("publish", "-q", "raw", "--json", stdin="four").json == {"queue": "raw", "size": 4}
    assert shop.ok("purge", "aside", "--yes", "--json").json == {"name": "aside", "purged": 1}


def test_health_is_told_as_json(worker: CommandLine) -> None:
    checks = {"broker": "ok", "results": "ok", "worker": "ok"}
    assert worker.ok("health", "--worker", "--json").json == {"status": "ready", "checks": checks}


def test_health_is_an_exit_code(shop: CommandLine) -> None:
    assert shop.ok("health").out == "ok\n"
    outcome = shop("health", "--worker")
    assert outcome.code == 1
    assert socket.gethostname() in outcome.err
    (shop.folder / "penstock.db").write_bytes(b"broken" * 1000)
    assert shop("health").code == 1


def verdicts(shop: CommandLine, **env: str) -> dict[str, tuple[str, str]]:
    items = shop("doctor", "--json", **env).json["items"]
    return {item["check"]: (item["verdict"], item["detail"]) for item in items}


def test_the_doctor_says_what_is_weak(shop: CommandLine) -> None:
    found = verdicts(shop)
    assert found["durability"][0] == "ok"
    assert "synchronous FULL" in found["durability"][1]
    assert found["workers"][0] == "weak"
    assert "'aside'" in found["queues"][1]
    table = shop.ok("doctor").out
    assert "VERDICT" in table
    assert found["clock"][0] == "ok"
    database = shop.folder / "penstock.db"
    database.chmod(0o666)
    os.utime(database, (time.time() + 90, time.time() + 90))
    found = verdicts(shop)
    assert found["permissions"][0] == "weak"
    assert found["clock"][0] == "weak"


def test_the_doctor_is_content_with_a_live_worker(worker: CommandLine) -> None:
    worker.ok("purge", "aside", "--yes")
    assert [check for check, (verdict, _) in verdicts(worker).items() if verdict != "ok"] == []


@pytest.mark.parametrize(
    ("env", "check"),
    [
        ({"PENSTOCK_THREADS": "many"}, "configuration"),
        ({"PENSTOCK_HOST": "0.0.0.0"}, "API"),  # noqa: S104
        ({"PENSTOCK_BROKER_URL": "sqlite:///app.py"}, "servers"),
        ({"PENSTOCK_BROKER_URL": "sqlite:///no/such/folder.db"}, "servers"),
    ],
)
def test_the_doctor_exits_with_1_if_something_is_wrong(shop: CommandLine, env: dict[str, str], check: str) -> None:
    assert shop("doctor", **env).code == 1
    assert verdicts(shop, **env)[check][0] == "wrong"


def test_the_doctor_shows_no_secret(shop: CommandLine) -> None:
    outcome = shop("doctor", PENSTOCK_API_KEYS="0123456789abcdef-secret", PENSTOCK_HOST="0.0.0.0")  # noqa: S104
    assert outcome.code == 0
    assert "0123456789abcdef" not in outcome.out + outcome.err
    assert "PENSTOCK_API_KEYS" in outcome.out


def test_top_shows_queues_workers_and_running_tasks(worker: CommandLine) -> None:
    looks = [json.loads(line) for line in worker.ok("top", "--count", "2", "--json").out.splitlines()]
    assert len(looks) == 2
    assert looks[1]["rate"] == 0
    assert {queue["name"] for queue in looks[0]["queues"]} >= {"aside"}
    assert len(looks[0]["workers"]) == 1
    assert "1 workers" in worker.ok("top", "--count", "1").out


def test_queues_are_watched_as_lines_of_json(shop: CommandLine) -> None:
    with subprocess.Popen(
        [PENSTOCK, "queues", "--watch", "--json"], cwd=shop.folder, env=shop.env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.terminate()
    assert [queue["name"] for queue in first["items"]] == ["aside"]
    assert second["items"][0]["ready"] == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shop: CommandLine, shell: str) -> None:
    assert "_PENSTOCK_COMPLETE" in shop.ok("completion", shell).out


def test_bash_completes_commands_and_options(shop: CommandLine) -> None:
    words = {"COMP_WORDS": "penstock su", "COMP_CWORD": "1", "_PENSTOCK_COMPLETE": "bash_complete"}
    assert shop(**words).out == "plain,submit\n"
    words |= {"COMP_WORDS": "penstock submit --count", "COMP_CWORD": "2"}
    assert shop(**words).out == "plain,--countdown\n"
