"""How long one waits before anything happens."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.contender import PATIENCE, Contender, Load
from bench.measurement import Figure, Measurement
from tests.processes import eventually

TIMES = 5
LOOK = 0.002  #: seconds between two looks


def _worker(contender: Contender, folder: Path) -> Sequence[float]:
    """Seconds from the command to the worker's word that it is ready, and to the first result, with a task waiting."""
    contender.call(folder, "fill", task="add", args=[1, 2], count=1)
    start = time.perf_counter()
    process = contender.launch(folder, contender.worker(Load(processes=2)))
    try:
        eventually(lambda: contender.ended(folder), within=PATIENCE, every=LOOK, what="the first result")
        return [time.perf_counter() - start]
    finally:
        process.clean()


def _ready(contender: Contender, folder: Path) -> Sequence[float]:
    start = time.perf_counter()
    process = contender.launch(folder, contender.worker(Load(processes=2)))
    try:
        eventually(lambda: contender.says in process.printed(), within=PATIENCE, every=LOOK, what=contender.says)
        return [time.perf_counter() - start]
    finally:
        process.clean()


def _import(contender: Contender, folder: Path) -> Sequence[float]:
    """Seconds of the statement itself, in a fresh interpreter."""
    clock = "time.perf_counter()"
    code = f"import time; start = {clock}; {contender.statement}; print({clock} - start)"
    command = [str(contender.python()), "-c", code]
    runs = [subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True) for _ in range(TIMES)]
    return [statistics.median(float(run.stdout) for run in runs)]


def _help(_contender: Contender, folder: Path) -> Sequence[float]:
    """Seconds of the whole process."""
    command = [str(Path(sys.executable).with_name("penstock")), "--help"]
    taken = []
    for _ in range(TIMES):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        taken.append(time.perf_counter() - start)
    return [statistics.median(taken)]


def _figure(name: str, title: str) -> tuple[Figure]:
    return (Figure(name, title, "s", more_is_better=False),)


STARTING = (
    Measurement("ready", "ready", _figure("ready", "worker, two processes: start to ready"), _ready, 1.5, 1),
    Measurement("first", "idle", _figure("first", "worker, two processes: start to first result"), _worker, 2.5, 2),
    Measurement("import", "import", _figure("import", "import of the app's class"), _import, 1.5, 1),
    Measurement("help", "help", _figure("help", "penstock --help"), _help, 0.5, 1),
)
