"""How long the dashboard's pages take with many records.

`python -m bench.pages [RECORDS] [sqlite|postgresql]`: 1,000,000 in a file of SQLite, or on a PostgreSQL. With
a URL instead of a name, what an earlier run has written there is measured once more.

The records are written through the result backend's own contract, as a submitter and a worker would; then each page is
asked for, in the same process, from the ASGI application: what is measured is the server's time, routes of the API
included, without the network. Printed are the median and the slowest of twenty, in milliseconds, and the median of the
CPU time of this process (of PostgreSQL's own it tells nothing), which says more than the clock on a busy machine.
Last come the pages that lead on by themselves to the end of the store: how many they are, the median and the slowest of
them, and all of them together.
"""

from __future__ import annotations

import asyncio
import html
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from penstock import Penstock
from penstock.api.application import Application
from penstock.core.failure import encode_failure
from penstock.core.message import Delivery
from penstock.core.record import Ending, Filter
from penstock.dashboard.application import create
from tests import servers

BATCH = 1000
TIMES = 20
LEASE = "lease-of-the-bench"
NAMES = ("charge", "email", "encode", "report", "sync")
FAILED = encode_failure(ConnectionError("the bank did not answer"))

PAGES = (
    "/ui/tasks",
    "/ui/tasks?status=FAILURE",
    "/ui/tasks?task=email",
    "/ui/tasks?queue=slow&status=SUCCESS",
    "/ui/tasks?worker=w7",
    "/ui/tasks?task=no-such-task",
    "/ui/tasks?queue=no-such-queue&status=SUCCESS",
    "/ui/tasks?worker=no-such-worker&status=FAILURE",
    "/ui/tasks?until=2001-01-01",
    "/ui/tasks?q=order-999",
    "/ui/tasks?q=no-such-text",
    "/ui/tasks?status=REVOKED",
    "/ui/tasks/{task}",
    "/ui",
    "/ui/queues",
    "/ui/workers",
    "/ui/schedules",
    "/ui/dead",
    "/ui/submit",
    "/ui/bulk/retry?task=charge",
    "/ui/bulk/retry?q=order-999",
)
#: What leads on by itself to the end.
WALKS = (
    "/ui/bulk/retry?task=charge",
    "/ui/bulk/retry?q=order-999",
    "/ui/tasks?task=no-such-task",
    "/ui/tasks?q=no-such-text",
)
_FURTHER = re.compile('<meta http-equiv="refresh" content="0; url=([^"]*)">')


def shop(url: str) -> Penstock:
    """An app at a place of its own."""
    app = Penstock("shop", broker=url)

    @app.task
    def charge(order: int, card: str = "") -> None:
        """Charge a card."""

    return app


async def fill(app: Penstock, number: int) -> list[str]:
    """Write so many tasks that ended, one in twenty badly; return some of their ids."""
    backends = app.backends()
    await backends.open()
    await backends.results.leases.open(LEASE, "w1", 3600.0)
    begin = time.time() - number / 1000
    ids = []
    for start in range(0, number, BATCH):
        endings = []
        records = []
        for index in range(start, min(start + BATCH, number)):
            name, queue = NAMES[index % len(NAMES)], "slow" if index % 7 == 0 else "default"
            prepared = app.prepare(name, [index, f"order-{index}"], {}, {"queue": queue}, check=False)
            message, created = prepared.message, begin + index / 1000
            records.append(replace(prepared.record, created_at=created))
            failed = index % 20 == 0
            endings.append(
                Ending(
                    delivery=Delivery(message, tag=None), state="FAILURE" if failed else "SUCCESS",
                    finished_at=created + 0.5,
                    started_at=created + 0.1, worker=f"w{index % 10}", pid=1,
                    result=FAILED if failed else b'{"charged": true}',
                )
            )  # fmt: skip
        await backends.results.records.create(records)
        await backends.results.records.finish(endings, LEASE)
        ids.append(records[0].task_id)
    return ids


async def asked(application: Application, address: str) -> str:
    """Ask for a page."""
    path, _, query = address.partition("?")
    status, parts = 0, []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)
        parts.append(message.get("body", b""))

    scope = {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    await application(scope, receive, send)
    assert status == 200, (address, status)
    return b"".join(parts).decode()


async def walk(application: Application, address: str) -> list[float]:
    """Follow a page to where it does not lead on by itself; milliseconds of each."""
    took: list[float] = []
    following = address
    while following:
        began = time.perf_counter()
        page = await asked(application, following)
        took.append((time.perf_counter() - began) * 1000)
        found = _FURTHER.search(page)
        following = html.unescape(found[1]) if found else ""
    return took


async def measure(number: int, url: str, there: bool) -> None:
    app = shop(url)
    began = time.perf_counter()
    if there:
        backends = app.backends()
        await backends.open()
        ids = [record.task_id for record in (await backends.results.records.page(Filter(tasks=NAMES), 50)).items]
    else:
        ids = await fill(app, number)
        print(f"{number:,} records written in {time.perf_counter() - began:.0f} s", flush=True)
    application = create(app)
    await application.site.open()
    print(f"{'page':46} {'median':>8} {'slowest':>8} {'CPU':>8} {'kB':>6}")
    for template in PAGES:
        address = template.format(task=ids[len(ids) // 2])
        took, used, page = [], [], ""
        for _ in range(TIMES):
            began, begun = time.perf_counter(), time.process_time()
            page = await asked(application, address)
            took.append((time.perf_counter() - began) * 1000)
            used.append((time.process_time() - begun) * 1000)
        figures = (statistics.median(took), max(took), statistics.median(used))
        print(f"{template:46} {' '.join(f'{each:8.1f}' for each in figures)} {len(page) / 1000:6.1f}", flush=True)
    print(f"{'to the end':46} {'median':>8} {'slowest':>8} {'all':>8} {'pages':>6}")
    for address in WALKS:
        took = await walk(application, address)
        figures = (statistics.median(took), max(took), sum(took))
        print(f"{address:46} {' '.join(f'{each:8.1f}' for each in figures)} {len(took):6}", flush=True)
    await application.site.close()


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    where = sys.argv[2] if len(sys.argv) > 2 else "sqlite"
    if "://" in where:
        asyncio.run(measure(number, where, there=True))
    elif where == "postgresql":
        try:
            asyncio.run(measure(number, servers.postgres().fresh(), there=False))
        finally:
            servers.end()
    else:
        with tempfile.TemporaryDirectory() as place:
            asyncio.run(measure(number, f"sqlite:///{Path(place)}/penstock.db", there=False))


if __name__ == "__main__":
    main()
