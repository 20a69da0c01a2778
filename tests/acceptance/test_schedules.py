"""Schedules with real workers: every due time is fired once, whoever is killed; read from the records."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from penstock.core.ids import id_time
from penstock.core.schedule import Schedule
from tests.acceptance.commands import CommandLine
from tests.processes import Launched, eventually, launched

APP = """
import pathlib
from penstock import Penstock

app = Penstock("shop")


@app.periodic(every=1, missed="all")
@app.task(bind=True)
def tick(self) -> None:
    with pathlib.Path("runs.txt").open("a") as runs:
        runs.write(f"{self.request.id}\\n")


@app.periodic("* * * * * *", name="seconds", timezone="Europe/Zurich", missed="all")
@app.task
def tock() -> None: ...
"""

#: A killed worker's tasks are taken over within a second.
ENV = {"PENSTOCK_LEASE": "1", "PENSTOCK_LEASE_RENEWAL": "0.3", "PENSTOCK_APP": "app.py"}


def runs(shop: CommandLine, task: str) -> list[dict[str, Any]]:
    """The records of a task, oldest first."""
    items = shop.ok("list", "--task", task, "--limit", "100", "--json").json["items"]
    return sorted(items, key=lambda item: str(item["task_id"]))


def due_times(items: list[dict[str, Any]]) -> list[float]:
    found = [id_time(item["task_id"]) for item in items]
    return [due for due in found if due is not None]


def fires(worker: Launched) -> int:
    return worker.printed().count("schedule tick fired")


def test_every_due_time_is_fired_once_by_two_workers_of_which_one_is_killed(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    shop = CommandLine(tmp_path, ENV)
    with (
        launched("worker", "app.py", "--processes", "1", cwd=tmp_path, env=ENV) as one,
        launched("worker", "app.py", "--processes", "1", cwd=tmp_path, env=ENV) as other,
    ):
        eventually(lambda: fires(one) + fires(other) >= 3, what="three runs")
        leader, heir = (one, other) if fires(one) > fires(other) else (other, one)
        before = len(runs(shop, "tick"))
        leader.kill_tree()
        eventually(
            lambda: len(runs(shop, "tick")) >= before + 4, within=15, what="four runs more, before the lock ends"
        )
        eventually(lambda: all(item["status"] == "SUCCESS" for item in runs(shop, "tick")), what="their ends")
        assert heir.stop() == 0
    ticks = runs(shop, "tick")
    due = due_times(ticks)
    assert [round(later - sooner, 2) for sooner, later in pairwise(due)] == [1.0] * (len(due) - 1)
    (entry,) = [each for each in shop.ok("schedules", "--json").json["items"] if each["name"] == "tick"]
    assert entry["fired"] == len(ticks)
    assert entry["last_task_id"] == ticks[-1]["task_id"]
    ran = Counter((tmp_path / "runs.txt").read_text().split())
    assert ran.keys() == {item["task_id"] for item in ticks}
    assert sum(ran.values()) <= len(ticks) + 1, "only what ran at the moment of the kill may have run again"

    tocks = due_times(runs(shop, "tock"))
    assert tocks == [tocks[0] + number for number in range(len(tocks))]
    assert tocks[0] % 1 == 0


def test_schedules_and_their_past_survive_a_restart_of_everything(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    shop = CommandLine(tmp_path, ENV)
    with launched("worker", "app.py", "--processes", "1", cwd=tmp_path, env=ENV) as worker:
        eventually(lambda: fires(worker) >= 2, what="two runs")
        shop.ok("schedules", "pause", "seconds")
        worker.kill_tree()
        first = runs(shop, "tick")
        tocks = runs(shop, "tock")
        worker.restart()
        eventually(lambda: len(runs(shop, "tick")) >= len(first) + 2, what="two runs more")
        assert worker.stop() == 0
    due = due_times(runs(shop, "tick"))
    steps = [later - sooner for sooner, later in pairwise(due)]
    assert [round(step, 2) % 1 for step in steps] == [0.0] * len(steps), "the rhythm is that of before"
    assert len(runs(shop, "tock")) == len(tocks), "what is paused stays paused"
    entries = {each["name"]: each for each in shop.ok("schedules", "--json").json["items"]}
    assert entries["tick"]["fired"] == len(due)
    assert entries["seconds"]["paused"]


def test_a_worker_without_a_scheduler_fires_nothing(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    shop = CommandLine(tmp_path, ENV)
    with launched("worker", "app.py", "--processes", "1", "--no-scheduler", cwd=tmp_path, env=ENV) as worker:
        worker.prints("ready:")
        shop.ok("submit", "tick", "--wait")
        assert shop.ok("schedules", "--json").json["items"] == []


def test_the_task_id_of_a_due_time_is_what_the_schedule_says(tmp_path: Path) -> None:
    """So that anybody can look up a run by its due time."""
    (tmp_path / "app.py").write_text(APP)
    shop = CommandLine(tmp_path, ENV)
    with launched("worker", "app.py", "--processes", "1", cwd=tmp_path, env=ENV):
        (entry,) = eventually(
            lambda: [
                each
                for each in json.loads(shop("schedules", "--json").out or '{"items": []}')["items"]
                if each["name"] == "seconds" and each["fired"]
            ]
        )
    plan = Schedule(name="seconds", task="tock", cron="* * * * * *", timezone="Europe/Zurich")
    assert plan.task_id(due_times([{"task_id": entry["last_task_id"]}])[0]) == entry["last_task_id"]
