"""From a COMMIT to the first line of the task that it queued: `python -m bench.committed [TIMES]` (300) on PostgreSQL.

A server of our own with fsync and synchronous_commit on, one worker that sleeps, and a psycopg connection whose
transaction submits one task. Both clocks are the machine's: the task answers when it began. Printed are median, 90th
and 99th percentile in milliseconds, of the time since COMMIT was sent and since it was answered, besides what a commit
of one row and a question without work take on the same server in the same moments, and the machine's load.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg

from penstock import Penstock
from tests.processes import launched
from tests.servers import Postgres

PAUSE = 0.05  #: seconds between a result and the next transaction: everybody is asleep again
WARM = 20  #: transactions that do not count

APP = """
import time

from penstock import Penstock

app = Penstock("committed")


@app.task
def began() -> float:
    return time.time()
"""


def measure(folder: Path, server: Postgres, times: int) -> dict[str, list[float]]:
    """Milliseconds of each kind."""
    (folder / "app.py").write_text(APP)
    app = Penstock("committed", broker=server.url)
    found: dict[str, list[float]] = {
        "since COMMIT was sent": [],
        "since it was answered": [],
        "COMMIT": [],
        "SELECT 1": [],
    }
    environment = {"PENSTOCK_BROKER_URL": server.url}
    with (
        launched("worker", "app.py", "--processes", "1", cwd=folder, env=environment) as worker,
        psycopg.connect(server.url) as connection,
    ):
        worker.prints("ready:")
        for _ in range(WARM + times):
            time.sleep(PAUSE)
            handle = app.send_task("began", (), connection=connection)
            sent = time.time()
            connection.commit()
            answered = time.time()
            began = handle.get(timeout=30)
            found["since COMMIT was sent"].append(1000 * (began - sent))
            found["since it was answered"].append(1000 * (began - answered))
            found["COMMIT"].append(1000 * (answered - sent))
            found["SELECT 1"].append(_asked(connection))
    app.close()
    return {name: taken[WARM:] for name, taken in found.items()}


def _asked(connection: psycopg.Connection) -> float:
    """Milliseconds for a question that is no work."""
    start = time.perf_counter()
    connection.execute("SELECT 1")
    taken = time.perf_counter() - start
    connection.rollback()
    return 1000 * taken


def _row(name: str, taken: Sequence[float]) -> str:
    hundredths = statistics.quantiles(taken, n=100)
    return f"{name:24} {statistics.median(taken):8.2f} {hundredths[89]:8.2f} {hundredths[98]:8.2f}"


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    with tempfile.TemporaryDirectory() as folder, Postgres(fsync="on", synchronous_commit="on") as server:
        before = os.getloadavg()[0]
        found = measure(Path(folder), server, times)
        print(f"load {before:.2f} before, {os.getloadavg()[0]:.2f} after, {os.cpu_count()} processors")
        print(f"{'milliseconds':24} {'median':>8} {'90 %':>8} {'99 %':>8}")
        for name, taken in found.items():
            print(_row(name, taken))


if __name__ == "__main__":
    main()
