"""What calls cost with much history: `python -m bench.history [WAITING FINISHED]` (1,000,000 10,000,000) on PostgreSQL.

One server of our own, fsync and synchronous_commit on, holds 10,000 waiting and 10,000 finished tasks in one schema and
the given numbers in another. Every call is made to both in turns, through the client's own drivers, round trip and
commit included, for a record picked at random where it is about one. Printed are medians in milliseconds, the median
of the ratios of neighbours in time, which a busy machine does not disturb, and the pages of the server's memory that
the call's statements touch (tests/integration/postgres/sizes.py).

Then retention deletes what has finished, as a worker's sweep would, and what tables and indexes take on the disk is
printed before and after. Needs 15 GB and a quarter of an hour or more.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from penstock import Penstock
from penstock.client.backends import Backends
from penstock.core.message import Delivery
from penstock.core.record import Filter
from penstock.core.step import commit
from tests.integration.postgres import sizes

SMALL = 10_000
ROUNDS = 10  #: of all calls: what keeps the machine busy at one moment does not fall upon one call alone
TURNS = 12  #: how often each call is made to each of the two, in a round

Call = Callable[[], Awaitable[Any]]


@dataclass(frozen=True)
class Place:
    """One filled schema."""

    app: Penstock
    backends: Backends
    finished: int
    held: list[Delivery] = field(default_factory=list)  #: what was claimed

    def calls(self) -> Mapping[str, Call]:
        """What is measured, by name."""
        records, broker, dead = self.backends.results.records, self.backends.broker, self.backends.results.dead
        some = random.Random(1)

        def ended(count: int) -> list[str]:
            first = some.randint(1, self.finished - count)
            return [sizes.ended(number) for number in range(first, first + count)]

        return {
            "submit 1": lambda: self._submit(1),
            "submit 100": lambda: self._submit(100),
            "claim 1": lambda: self._claim(1),
            "claim 100": lambda: self._claim(100),
            "get 1": lambda: records.get(ended(1)),
            "check 100": lambda: records.check(ended(100)),
            "page of all": lambda: records.page(Filter(), 50),
            "page of PENDING": lambda: records.page(Filter(states=("PENDING",)), 50),
            "page of SUCCESS": lambda: records.page(Filter(states=("SUCCESS",)), 50),
            "page of FAILURE": lambda: records.page(Filter(states=("FAILURE",)), 50),
            "page of ended": lambda: records.page(Filter(states=("SUCCESS", "FAILURE", "REVOKED")), 50),
            "page of a task": lambda: records.page(Filter(tasks=("add",)), 50),
            "page of a queue": lambda: records.page(Filter(queues=("default",)), 50),
            "page of the dead": dead.page,
            "queues": broker.depth,
        }

    async def _submit(self, count: int) -> None:
        made = [self.app.prepare("add", (1, 2), check=False) for _ in range(count)]
        records, broker = self.backends.results.records, self.backends.broker
        await commit(records.create([e.record for e in made]), broker.publish([e.message for e in made]))

    async def _claim(self, limit: int) -> None:
        claim = await self._consumer().claim(["default"], limit)
        assert len(claim.deliveries) == limit
        self.held.extend(claim.deliveries)

    async def settled(self) -> None:
        """As workers do: no more than a few hundred messages are claimed at a time."""
        await self._consumer().settle(self.held)
        self.held.clear()

    def _consumer(self) -> Any:
        return self.backends.broker.consume(["default"], "lease-of-the-bench")


async def timed(places: Sequence[Place]) -> dict[str, tuple[float, float, float]]:
    """Of each call: the median in the first and in the second place, milliseconds, and the median ratio."""
    calls = [place.calls() for place in places]
    taken: dict[str, tuple[list[float], ...]] = {name: tuple([] for _ in places) for name in calls[0]}
    for number in range(ROUNDS + 1):
        for name, each in taken.items():
            for place in places:
                await place.settled()
            for turn in range(TURNS):
                for at in range(len(places)) if turn % 2 else reversed(range(len(places))):
                    start = time.perf_counter()
                    await calls[at][name]()
                    if number:  # in the first round statements are prepared, and pages read
                        each[at].append(1000 * (time.perf_counter() - start))
    found = {}
    for name, (small, large) in taken.items():
        ratio = statistics.median(many / few for few, many in zip(small, large, strict=True))
        found[name] = (statistics.median(small), statistics.median(large), ratio)
    return found


async def costs(places: Sequence[Place]) -> None:
    """Print the cost of every call in both places."""
    taken = await timed(places)
    touched = [await sizes.costs(place.app, place.backends) for place in places]
    print(f"\n{'':18}{'ms: small':>10}{'large':>10}{'ratio':>7}{'pages: small':>15}{'large':>8}{'ratio':>7}")
    for name, (small, large, ratio) in taken.items():
        line = f"{name:18}{small:10.2f}{large:10.2f}{ratio:7.2f}"
        if name in touched[0]:
            few, many = (each[name][0] for each in touched)
            line += f"{few:15,}{many:8,}{many / few:7.2f}"
        print(line, flush=True)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


async def main(waiting: int, finished: int) -> None:
    with sizes.statistics(fsync="on", synchronous_commit="on", shared_buffers="2GB") as server:
        async with AsyncExitStack() as stack:
            places = []
            for few, many in ((SMALL, SMALL), (waiting, finished)):
                app = Penstock("history", broker=server.fresh())
                backends = await stack.enter_async_context(app.backends())
                began = time.perf_counter()
                await sizes.fill(backends, few, many)
                print(f"filled {few:,} + {many:,} in {time.perf_counter() - began:.0f} s", flush=True)
                places.append(Place(app, backends, many))
            await costs(places)
            await retention(places[1])


async def retention(place: Place) -> None:
    """Print what it takes to forget all that has finished, and what room that makes."""
    before = await sizes.cleaned(place.backends)
    began = time.perf_counter()
    gone = await sizes.forgotten(place.backends)
    print(f"\n{gone:,} forgotten in {time.perf_counter() - began:.0f} s, the time of VACUUM included")
    after = await sizes.cleaned(place.backends)
    print(f"{'MB':18}{'table before':>14}{'after':>8}{'indexes before':>16}{'after':>8}")
    for table in ("records", "payloads", "messages"):
        (rows, keys), (rows_left, keys_left) = before[table], after[table]
        print(f"{table:18}{rows / 1e6:14,.0f}{rows_left / 1e6:8,.0f}{keys / 1e6:16,.0f}{keys_left / 1e6:8,.0f}")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]] or [1_000_000, 10_000_000]
    asyncio.run(main(*given))
