"""What idle processes hold: their proportional share of the memory (PSS), once they have run a task."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from bench.contender import PATIENCE, Contender, Load
from bench.measurement import Figure, Measurement
from bench.outside import worker
from bench.scale import scaled
from tests.processes import eventually, free_port, listens, tree

SETTLED = 1.5  #: seconds of rest before the look


def _worker(contender: Contender, folder: Path) -> Sequence[float]:
    """MiB of the largest process of a worker with two, and of all its processes."""
    contender.call(folder, "fill", task="add", args=[1, 2], count=10)
    with worker(contender, folder, Load(processes=2)) as process:
        eventually(lambda: contender.ended(folder) >= 10, within=PATIENCE, what="ten endings")
        time.sleep(SETTLED)
        sizes = [_pss(pid) for pid in tree(process.pid)]
    return [max(sizes), sum(sizes)]


def _loaded(contender: Contender, folder: Path) -> Sequence[float]:
    """MiB of all processes of a worker with two, at most, while it drains a backlog."""
    count = scaled(contender.backlog, 100)
    contender.call(folder, "fill", task="add", args=[1, 2], count=count)
    found = [0.0]
    with worker(contender, folder, Load(processes=2)) as process:

        def drained() -> bool:
            with contextlib.suppress(OSError):  # a process that has just ended
                found.append(sum(_pss(pid) for pid in tree(process.pid)))
            return contender.ended(folder) >= count

        eventually(drained, within=PATIENCE, every=0.1, what=f"{count} endings")
    return [max(found)]


def _api(contender: Contender, folder: Path) -> Sequence[float]:
    """MiB of an HTTP server with one process."""
    port = free_port()
    server = contender.launch(folder, contender.server(port, 1))
    try:
        eventually(lambda: listens(port), within=PATIENCE, what="the server")
        time.sleep(SETTLED)
        return [max(_pss(pid) for pid in tree(server.pid))]
    finally:
        server.clean()


def _pss(pid: int) -> float:
    """MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def _figure(name: str, title: str) -> Figure:
    return Figure(name, title, "MiB", more_is_better=False)


MEMORY = (
    Measurement(
        "memory", "idle", (
            _figure("pss-largest", "idle worker, two processes: its largest process"),
            _figure("pss-all", "idle worker, two processes: all its processes"),
        ), _worker, 5, 1,
    ),
    Measurement(
        "memory-loaded", "idle", (_figure("pss-loaded", "draining worker, two processes: all its processes, at most"),),
        _loaded, 6, 1,
    ),
    Measurement("memory-api", "http", (_figure("pss-api", "idle HTTP server, one process"),), _api, 4, 1),
)  # fmt: skip
