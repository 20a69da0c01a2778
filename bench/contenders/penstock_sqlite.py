"""Penstock on SQLite, at its defaults."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from bench.contender import Contender, Load

_PENSTOCK = str(Path(sys.executable).with_name("penstock"))


class PenstockSQLite(Contender):
    name = "penstock-sqlite"
    title = "Penstock"
    options = "defaults: synchronous FULL, records, results and history kept; 8 threads, 100 coroutines a process"
    packages: ClassVar[tuple[str, ...]] = ("penstock", "msgspec", "uvloop", "uvicorn", "starlette")
    offers = frozenset((
        "send", "asend", "send_many", "worker", "workers", "cpu", "nap", "crowd", "get", "aget", "senders",
        "http", "ready",
        "import", "help", "idle", "mark", "backlog", "watch", "load",
    ))  # fmt: skip
    statement = "from penstock import Penstock"
    says = "ready: "

    def worker(self, load: Load) -> list[str]:
        slots = [] if load.slots is None else ["--concurrency", str(load.slots)]
        return [_PENSTOCK, "worker", self.app, "--processes", str(load.processes), *slots, *load.options]

    def server(self, port: int, processes: int) -> list[str]:
        return [_PENSTOCK, "api", self.app, "--port", str(port), "--processes", str(processes)]

    def ended(self, folder: Path) -> int:
        with closing(sqlite3.connect(f"file:{folder}/penstock.db?mode=ro", uri=True, timeout=10)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM records WHERE state = 'SUCCESS'").fetchone()
        return int(count)
