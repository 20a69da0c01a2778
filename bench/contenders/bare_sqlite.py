"""The bare sqlite3 module: what the file allows, with Penstock's tables and rows and nothing around them."""

from __future__ import annotations

import sys
from typing import ClassVar

from bench.contender import Load
from bench.contenders.penstock_sqlite import PenstockSQLite


class BareSQLite(PenstockSQLite):
    name = "bare-sqlite"
    title = "bare sqlite3"
    options = (
        "Penstock's tables and rows written by the sqlite3 module alone, synchronous FULL; drained in batches of 100 "
        "(CPU: 10), settling one and claiming the next in one transaction"
    )
    packages: ClassVar[tuple[str, ...]] = ()
    offers = frozenset({"send", "send_many", "worker", "workers", "cpu"})

    def worker(self, load: Load) -> list[str]:
        return [sys.executable, "-m", self.app, load.task, str(load.processes)]
