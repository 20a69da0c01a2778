"""The example of jobs as those see it who use it, and as it is set."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

import httpx

from tests.processes import clean_environment, eventually
from tests.running.system import System

EXAMPLE = Path(__file__).parents[2] / "examples" / "django_jobs"
PROJECT = EXAMPLE / "myproject"
COMPOSE = (EXAMPLE / "compose.yaml").read_text()
DOCKERFILE = (EXAMPLE / "Dockerfile").read_text()
README = (EXAMPLE / "README.md").read_text()


class Jobs:
    """The running example, as those see it who use it."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.url = system.url("web")
        self.client = httpx.Client(base_url=self.url, timeout=30)

    def manage(self, *arguments: str) -> str:
        """What `python manage.py …` prints, run where the web server runs."""
        done = self.system["web"][0].inside(("python", "myproject/manage.py", *arguments))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def shell(self, code: str) -> Any:
        """What `code` leaves in `found`."""
        prelude = "import json\nfrom django.db import transaction\nfrom myproject.models import Job\n"
        told = self.manage("shell", "--no-imports", "-c", f"{prelude}{code}\nprint('FOUND', json.dumps(found))")
        return json.loads(told.rpartition("FOUND ")[2])

    def create(self, kind: str, argument: int) -> str:
        """The URL of a new job."""
        made = self.client.post("/jobs/", json={"type": kind, "argument": argument})
        assert made.status_code == 201, made.text
        return str(made.json()["url"])

    def ended(self, url: str) -> Any:
        """The job, once it has ended."""

        def look() -> Any:
            job = self.client.get(url).json()
            return job["status"] in ("finished", "failed") and job

        return eventually(look, within=90, every=0.1)


class Load:
    """Jobs that come all the time; it keeps those that were accepted."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.accepted: dict[str, int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _send(self) -> None:
        with httpx.Client(base_url=self.jobs.url, timeout=60) as client:
            while not self._ending.wait(0.1):
                argument = len(self.accepted) % 900
                try:
                    made = client.post("/jobs/", json={"type": "power", "argument": argument})
                except httpx.TransportError:
                    continue  # the web server is being started again
                if made.status_code == 201:
                    self.accepted[made.json()["url"]] = argument


DUMP = """
import json, myproject.settings as it
print(json.dumps({"broker": it.BROKER_URL, "results": it.CELERY_RESULT_BACKEND, "debug": it.DEBUG,
                  **it.DATABASES["default"]}))
"""


def run_python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env={**clean_environment(), **variables},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
