"""Programs as tasks in a real worker: log lines, progress, limits, cancellation, and how fast lasting ones are."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.core.errors import TaskRevokedError, TimeLimitExceeded
from tests.processes import PENSTOCK, Launched, clean_environment, eventually, launched


class Place:
    """A folder with the app, and a client of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(Path(__file__).with_name("program_app.py"), folder / "program_app.py")
        self.env = {"PENSTOCK_BROKER_URL": f"sqlite:///{folder}/x.db"}
        self.app = Penstock("client", broker=self.env["PENSTOCK_BROKER_URL"])

    @contextlib.contextmanager
    def worker(self, *options: str) -> Iterator[Launched]:
        with launched(
            "worker", "program_app.py", "--processes", "1", *options, cwd=self.folder, env=self.env
        ) as process:
            process.prints("ready:")
            yield process

    def send(self, task: str, **options: Any) -> Any:
        return self.app.send_task(task, kwargs=options.pop("kwargs", {}), **options)

    def pids(self) -> list[str]:
        """Of the program that hangs and of what it started, once both have said them."""
        file = self.folder / "pids"
        return eventually(lambda: _words(file, 2), what="pids")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _words(file: Path, count: int) -> list[str]:
    """What stands in it, once it is so many words."""
    found = file.read_text().split() if file.exists() else []
    return found if len(found) == count else []


def gone(pids: list[str]) -> None:
    eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), what=f"the end of {pids}")


def test_lines_are_logged_with_the_task_and_progress_is_seen_while_it_runs(place: Place) -> None:
    with place.worker() as worker:
        sent = place.send("speaks", kwargs={"a": 1})
        eventually(lambda: sent.progress == {"fraction": 0.4, "message": "half way"}, what="progress")
        assert sent.get(timeout=60) == {"a": 1}
        [line] = [each for each in worker.printed().splitlines() if "a line of it" in each]
        assert f"task_id={sent.id}" in line
        assert "stream=stderr" in line
        assert "::progress" not in worker.printed()


def test_a_time_limit_ends_the_whole_group(place: Place) -> None:
    with place.worker():
        sent = place.send("hangs", time_limit=0.5)
        with pytest.raises(TimeLimitExceeded):
            sent.get(timeout=60)
        gone(place.pids())
        assert place.send("one", kwargs={"x": 1}).get(timeout=60) == 2  # the worker goes on


def test_cancelling_ends_the_whole_group(place: Place) -> None:
    with place.worker():
        sent = place.send("hangs")
        pids = place.pids()
        sent.revoke(terminate=True)
        with pytest.raises(TaskRevokedError):
            sent.get(timeout=60)
        gone(pids)


@pytest.mark.alone
def test_lasting_processes_are_twenty_times_as_fast_as_one_for_each_task(place: Place) -> None:
    def seconds(task: str, count: int) -> float:
        place.send(task, kwargs={"x": 0}).get(timeout=60)
        began = time.perf_counter()
        sent = [place.send(task, kwargs={"x": number}) for number in range(count)]
        assert [each.get(timeout=120) for each in sent] == [number + 1 for number in range(count)]
        return (time.perf_counter() - began) / count

    with place.worker("--threads", "1"):
        one, lasting = seconds("one", 20), seconds("lasting", 400)
    assert one > 20 * lasting, f"{one * 1000:.2f} ms against {lasting * 1000:.2f} ms"


def test_a_program_that_is_missing_is_one_line_at_the_start(place: Place) -> None:
    env = {**clean_environment(), **place.env, "MISSING": "1"}
    command = [PENSTOCK, "worker", "program_app.py", "-Q", "default"]
    done = subprocess.run(command, cwd=place.folder, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["error: task missing: there is no program 'no-such-program' on the PATH"]
