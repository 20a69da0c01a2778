"""A search for text looks at a bounded number of records a read, and still sees each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.client.app import Penstock
from penstock.client.operations import page
from penstock.core.record import Filter
from penstock.results.sqlite import listing
from penstock.testing.conformance.results.samples import created, record


@pytest.mark.parametrize("states", [(), ("PENDING",)])
@pytest.mark.parametrize("searched", [1, 3, 7, 100])
async def test_a_walk_finds_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searched: int, states: tuple[str, ...]
) -> None:
    monkeypatch.setattr(listing, "SEARCHED", searched)
    backends = Penstock("shop", broker=f"sqlite:///{tmp_path}/p.db").backends()
    await backends.open()
    wanted = [n for n in range(30) if n in {0, 1, 8, 17, 29}]
    await created(backends.results, *(record(f"t{n}", args=["needle" if n in wanted else "hay"]) for n in range(30)))
    which = Filter(text="needle", states=states)
    newest_first = [f"t{n}" for n in reversed(wanted)]
    seen, cursor, pages = [], None, 0
    while True:
        found = await backends.results.records.page(which, 2, cursor)
        assert len(found.items) <= 2
        seen += [item.task_id for item in found.items]
        pages, cursor = pages + 1, found.next
        if cursor is None:
            break
    assert seen == newest_first
    assert pages >= 30 // (searched + 1) - 1
    whole = await page(backends, which, 50)
    assert ([item.task_id for item in whole.items], whole.next) == (newest_first, None)
    part = await page(backends, which, 50, patience=0.0)
    assert len(part.items) < len(wanted) or searched == 100
    await backends.close()
