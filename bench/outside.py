"""How tasks a second are seen from outside: by counting what has ended where the results are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.contender import PATIENCE, Contender, Load
from tests.processes import Launched, eventually, tree

POLL = 0.01  #: seconds between two looks at least


@dataclass(frozen=True, slots=True)
class Drained:
    """A backlog on its way: `seen` tasks had ended at the first look that saw any, all of them `seconds` later."""

    count: int
    seen: int
    seconds: float
    cpu: float  #: seconds that all processes of the worker used meanwhile

    @property
    def rate(self) -> float:
        """Tasks a second; the start of the worker is not part of it."""
        return (self.count - self.seen) / self.seconds

    @property
    def cost(self) -> float:
        """CPU of the worker a task, in microseconds."""
        return 1e6 * self.cpu / (self.count - self.seen)


@contextmanager
def worker(contender: Contender, folder: Path, load: Load) -> Iterator[Launched]:
    """A worker, killed at the end: what it does when it is asked to stop is not measured."""
    process = contender.launch(folder, contender.worker(load))
    try:
        yield process
    finally:
        process.clean()


def drain(contender: Contender, folder: Path, load: Load, count: int) -> Drained:
    """Start a worker on a backlog of `count` tasks and watch until all have ended well."""
    with worker(contender, folder, load) as process:

        def some() -> int:
            return contender.ended(folder)

        seen = eventually(some, within=PATIENCE, every=POLL, what="the first ending")
        pids = tree(process.process.pid)
        start, cpu = time.perf_counter(), machine.cpu(pids)
        while (ended := some()) < count:
            passed = time.perf_counter() - start
            if passed > PATIENCE:
                raise RuntimeError(f"only {ended} of {count} had ended after {PATIENCE:.0f} s")
            # a look costs what the contender could use: there are few, but towards the end
            left = passed * (count - ended) / max(ended - seen, 1)
            time.sleep(min(max(left / 4, POLL), 1.0))
        return Drained(count, seen, time.perf_counter() - start, machine.cpu(pids) - cpu)
