"""The dashboard's pages cost the same whether there are hundreds of records or tens of thousands."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from bench.pages import asked, fill, shop
from penstock.dashboard.application import create

FEW, MANY = 500, 20_000
PAGES = (
    "/ui",
    "/ui/tasks",
    "/ui/tasks?status=FAILURE",
    "/ui/tasks?task=email",
    "/ui/queues",
    "/ui/dead",
    "/ui/workers",
)


async def medians(folder: Path, number: int) -> dict[str, float]:
    """The median seconds of each page with so many records."""
    app = shop(f"sqlite:///{folder}/{number}.db")
    await fill(app, number)
    application = create(app)
    await application.site.open()
    found = {}
    for page in PAGES:
        took = []
        for _ in range(15):
            began = time.perf_counter()
            text = await asked(application, page)
            took.append(time.perf_counter() - began)
            assert len(text) < 100_000
        found[page] = statistics.median(took)
    await application.site.close()
    return found


@pytest.mark.alone
async def test_a_page_costs_the_same_however_many_records_there_are(tmp_path: Path) -> None:
    few, many = await medians(tmp_path, FEW), await medians(tmp_path, MANY)
    # forty times as many: what grows with them would be far above this, which leaves room for a busy machine
    grown = {page: (few[page], many[page]) for page in PAGES if many[page] > 8 * few[page] + 0.02}
    assert grown == {}
