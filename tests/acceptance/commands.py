"""The installed command in a folder of its own: what it prints and how it ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import PENSTOCK, clean_environment

WITHIN = 90.0  # seconds that any command may take

APP = """
import time
from penstock import Penstock

app = Penstock("shop")


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def divide(x: int, y: int) -> float:
    return x / y


@app.task
def complain(text: str) -> None:
    raise ValueError(text)


@app.task(bind=True)
def climb(self, steps: int) -> str:
    for step in range(steps):
        self.progress(step / steps, f"step {step}")
        time.sleep(0.05)
    return "top"
"""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs `penstock …` in `folder`, which has the database."""

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.env = {**clean_environment(), **(env or {})}

    def __call__(self, *arguments: str, stdin: str = "", **env: str) -> Outcome:
        done = subprocess.run(
            [PENSTOCK, *arguments],
            cwd=self.folder,
            env={**self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def ok(self, *arguments: str, stdin: str = "", **env: str) -> Outcome:
        """Run a command that must succeed."""
        outcome = self(*arguments, stdin=stdin, **env)
        assert outcome.code == 0, outcome
        return outcome
