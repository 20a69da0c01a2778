"""What is compared. A contender says how its programs are started and how its endings are counted from outside.

Each has two files: one in contenders/ (this class, imported by the bench) and one in apps/ (its tasks and calls,
imported by the contender's own Python, which may have nothing of ours installed).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tests.processes import Launched, clean_environment

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0  #: seconds after which a measurement has failed


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker is started for."""

    task: str = "add"  #: "add": nothing to do; "spin": CPU; "nap": waits; "mark": leaves a line
    processes: int = 1
    slots: int | None = None  #: tasks at once in a process; None: the contender's own choice
    options: tuple[str, ...] = ()  #: for a worker of Penstock


class Contender(ABC):
    """A task queue on a broker, at its best documented settings that are as durable as ours."""

    name: ClassVar[str]  #: what ONLY= picks it by
    title: ClassVar[str]  #: the head of its column
    options: ClassVar[str]  #: how it is set up, for the report
    packages: ClassVar[tuple[str, ...]] = ()  #: whose versions stand in the report
    offers: ClassVar[frozenset[str]]  #: what it can do; a measurement asks for one of these
    backlog: ClassVar[int] = 20_000  #: tasks of a drain
    statement: ClassVar[str] = ""  #: what a program imports of it, for those who offer "import"
    broker: ClassVar[str] = "SQLite"  #: the table that it stands in
    says: ClassVar[str] = ""  #: what its worker prints once it is ready, for those who offer "ready"

    @property
    def app(self) -> str:
        """The module with its tasks and calls."""
        return f"bench.apps.{self.name.replace('-', '_')}"

    def environment(self, folder: Path) -> dict[str, str]:
        """What its programs find in their environment for a measurement in `folder`."""
        del folder
        return {"PYTHONPATH": os.fspath(ROOT)}  # the apps are found from any folder

    def forget(self, folder: Path) -> None:  # noqa: B027 - most keep everything in the folder
        """The measurement in `folder` is over: remove what is kept elsewhere."""

    def python(self) -> Path:
        """The interpreter that has it installed."""
        return Path(sys.executable)

    def lacks(self) -> str:
        """What this machine has not, that it cannot be measured without; empty where nothing is missing."""
        return ""

    @abstractmethod
    def worker(self, load: Load) -> list[str]:
        """The command of a worker, to be run in the folder of the measurement."""

    @abstractmethod
    def ended(self, folder: Path) -> int:
        """How many tasks have ended well, read from where the results are kept."""

    def server(self, port: int, processes: int) -> list[str]:
        """The command of an HTTP server, for those who offer "http"."""
        raise NotImplementedError(f"{self.name} has no HTTP server")

    def call(self, folder: Path, verb: str, **arguments: Any) -> Any:
        """Have its own Python do a verb of bench/inside.py; return what that prints."""
        return self.run(folder, self.command(verb, **arguments))

    def command(self, verb: str, **arguments: Any) -> list[str]:
        """The command that has its own Python do a verb."""
        return self._inside(self.python(), self.app, verb, **arguments)

    @staticmethod
    def _inside(python: Path, app: str, verb: str, **arguments: Any) -> list[str]:
        return [str(python), "-m", "bench.inside", app, verb, json.dumps(arguments)]

    def run(self, folder: Path, command: list[str]) -> Any:
        """Run a program to its end; return the JSON that it prints."""
        env = {**clean_environment(), **self.environment(folder)}
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        if done.returncode:
            said = done.stderr.strip()
            what = " ".join([Path(command[0]).name, *command[1:]])
            raise RuntimeError(f"{what} failed: {said.splitlines()[-1] if said else 'it said nothing'}\n{said}")
        return json.loads(done.stdout)

    def launch(self, folder: Path, command: list[str]) -> Launched:
        """Start a worker or server; the caller cleans it up."""
        return Launched(command, folder, self.environment(folder))
