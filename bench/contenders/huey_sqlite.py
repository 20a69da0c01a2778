"""Huey on SQLite, with every commit synced as ours are."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from bench import peers
from bench.contender import Contender, Load

#: polling as quick as its documentation allows; four threads drained best of 1, 2, 4 and 8
_POLLING = ["-d", "0.001", "-m", "0.01", "-n", "-q"]


class HueySQLite(Contender):
    name = "huey-sqlite"
    title = "Huey"
    options = (
        "SqliteHuey(fsync=True), results stored; consumer -d 0.001 -m 0.01 -n, with -k thread -w 4, for two processes "
        "and CPU -k process; results are waited for with max_delay=0.001"
    )
    packages = ("huey",)
    offers = frozenset({"send", "worker", "workers", "cpu", "get", "import", "idle", "mark", "load"})
    statement = "from huey import SqliteHuey"
    backlog = 3_000

    def python(self) -> Path:
        return peers.program("python")

    def worker(self, load: Load) -> list[str]:
        processes = load.processes > 1 or load.task == "spin"
        kind, workers = ("process", load.processes) if processes else ("thread", load.slots or 4)
        consumer = str(peers.program("huey_consumer"))
        return [consumer, f"{self.app}.huey", "-k", kind, "-w", str(workers), *_POLLING]

    def ended(self, folder: Path) -> int:
        with closing(sqlite3.connect(f"file:{folder}/huey.db?mode=ro", uri=True, timeout=10)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM kv").fetchone()
        return int(count)
