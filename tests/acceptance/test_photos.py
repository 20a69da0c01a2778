"""The example: two hundred photographs, one of them corrupt, workers killed in the middle; the album has the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, PdfParser

from tests.acceptance.commands import CommandLine
from tests.places import BROKERS, settings
from tests.processes import Launched, children, eventually, free_port, launched

EXAMPLE = Path(__file__).parents[2] / "examples" / "photos"
COUNT = 200


@pytest.fixture(scope="module")
def holiday(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred JPEGs, one of them corrupt."""
    folder = tmp_path_factory.mktemp("holiday")
    make = [sys.executable, str(EXAMPLE / "samples.py"), str(folder), "--count", str(COUNT), "--corrupt", "1"]
    subprocess.run(make, check=True)
    return folder


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


@pytest.fixture(params=("default", *(name for name in BROKERS if name not in {"memory", "sqlite"})))
def line(request: pytest.FixtureRequest, tmp_path: Path, jobs: Path) -> CommandLine:
    """The command line of the example, with its pictures in `jobs`: as it comes, and with another URL."""
    urls = {} if request.param == "default" else settings(request.param, request)
    return CommandLine(tmp_path, {"PHOTOS_JOBS": str(jobs), "PENSTOCK_APP": str(EXAMPLE / "app.py"), **urls})


def corrupt(folder: Path) -> str:
    """The one that cannot be read, found without the example's help."""
    bad = []
    for path in sorted(folder.glob("*.jpg")):
        try:
            with Image.open(path) as picture:
                picture.load()
        except OSError:
            bad.append(path.name)
    (name,) = bad
    return name


def status(base: str, job: str) -> dict[str, Any]:
    answer = httpx.get(f"{base}/photos/{job}", timeout=30)
    return answer.json() if answer.status_code == 200 else {"ended": 0, "album": None}


def has_ended(base: str, job: str, wanted: int) -> bool:
    return bool(status(base, job)["ended"] >= wanted)


def worker_children(line: CommandLine, worker: Launched) -> list[int]:
    """The processes of the worker that run tasks, as they registered themselves; real children of it."""
    (info,) = line.ok("workers", "--json").json["items"]
    pids = [child["pid"] for child in info["status"]["children"]]
    return [pid for pid in pids if pid in children(worker.pid)]


def test_the_album_has_199_pages_and_one_error_though_workers_were_killed(
    holiday: Path, line: CommandLine, jobs: Path
) -> None:
    port = free_port()
    base = f"http://127.0.0.1:{port}"
    app = str(EXAMPLE / "app.py")
    with (
        launched("api", app, "--port", str(port), cwd=line.folder, env=line.env) as api,
        launched("worker", app, "--processes", "2", "--threads", "2", cwd=line.folder, env=line.env) as worker,
    ):
        api.prints(str(port))
        body = {"task": "photos", "args": [str(holiday)]}
        job = httpx.post(f"{base}/tasks", json=body, timeout=30).json()["task_id"]
        for share in (0.2, 0.4, 0.6):
            eventually(partial(has_ended, base, job, int(COUNT * share)), within=120)
            os.kill(eventually(lambda: worker_children(line, worker))[0], signal.SIGKILL)
        assert not status(base, job)["album"], "they were killed in the middle"
        found = eventually(lambda: (one := status(base, job))["album"] and one, within=150)
        eventually(lambda: line.ok("show", job, "--json").json["status"] == "SUCCESS")

        bad = corrupt(holiday)
        assert found["pages"] == COUNT - 1
        assert [error["photo"] for error in found["errors"]] == [bad]
        assert "truncated" in found["errors"][0]["error"]
        album = httpx.get(base + found["album"], timeout=30)
        assert album.headers["content-type"] == "application/pdf"
        assert len(PdfParser.PdfParser(buf=album.content).pages) == COUNT - 1

        (failed,) = line.ok("list", "--json", "--status", "failure").json["items"]
        assert bad in str(failed["result"]["exc_message"])
        assert failed["task"] == "photo"
        assert not any(path.suffix == "" for path in (jobs / job / "png").iterdir()), "nothing half-written"
        with Image.open(jobs / job / "png" / f"{found['pictures'][0]['photo']}.png") as picture:
            picture.load()
        thumbnail = httpx.get(base + found["pictures"][0]["thumbnail"], timeout=30)
        assert thumbnail.headers["content-type"] == "image/png"


def test_a_photograph_that_kills_every_worker_is_given_up_and_the_album_goes_without_it(
    tmp_path: Path, line: CommandLine
) -> None:
    few = tmp_path / "few"
    subprocess.run(
        [sys.executable, str(EXAMPLE / "samples.py"), str(few), "--count", "5", "--corrupt", "0"], check=True
    )
    text, start = (EXAMPLE / "app.py").read_text(), "    name = Path(path).name\n    try:\n"
    assert text.count(start) == 1
    deadly = '    if path.endswith("photo-0002.jpg"):\n        os.kill(os.getpid(), 9)\n'
    (tmp_path / "app.py").write_text(text.replace(start, deadly + start))
    app = ["--app", "app.py"]
    environment = {"PENSTOCK_MAX_DELIVERIES": "2", "PENSTOCK_LEASE": "1", "PENSTOCK_LEASE_RENEWAL": "0.3"}
    environment = {**line.env, **environment}
    with launched("worker", "app.py", "--processes", "1", "--threads", "1", cwd=tmp_path, env=environment):
        job = line.ok("submit", *app, "photos", f'["{few}"]').out.strip()
        eventually(lambda: line.ok("show", *app, job, "--json").json["status"] == "SUCCESS", within=120)
        album = eventually(
            lambda: (one := line.ok("show", *app, f"{job}-album", "--json").json)["finished_at"] and one, within=60
        )
        assert album["result"]["pages"] == 4
        (error,) = album["result"]["errors"]
        assert error["photo"] == "photo-0002.jpg"
        assert "WorkerLostError" in error["error"]
