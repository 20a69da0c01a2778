"""A search for text looks at a bounded number of records a read, and still sees each of them."""

from __future__ import annotations

import pytest

from penstock.client.app import Penstock
from penstock.core.record import Filter
from penstock.results.postgres import listing
from penstock.testing.conformance.results.samples import created, record
from tests import servers


@pytest.mark.parametrize("states", [(), ("PENDING",)])
async def test_a_walk_finds_all_of_them(
    postgres_server: servers.Postgres, monkeypatch: pytest.MonkeyPatch, states: tuple[str, ...]
) -> None:
    monkeypatch.setattr(listing, "SEARCHED", 7)
    backends = Penstock("shop", broker=postgres_server.fresh()).backends()
    await backends.open()
    wanted = {0, 1, 8, 17, 29}
    await created(backends.results, *(record(f"t{n}", args=["needle" if n in wanted else "hay"]) for n in range(30)))
    seen, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        found = await backends.results.records.page(Filter(text="needle", states=states), 2, cursor)
        seen += [item.task_id for item in found.items]
        pages, cursor = pages + 1, found.next
    assert seen == [f"t{n}" for n in sorted(wanted, reverse=True)]
    assert pages >= 30 // 8
    await backends.close()
