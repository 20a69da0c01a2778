"""What a program costs as a worker: `python -m bench.programs [MESSAGES]` (1,000), on SQLite, each commit synced.

In turns, ROUNDS times: MESSAGES starts of /bin/true with nothing around them (posix_spawn and wait, one after the
other), the same by `penstock consume` from a queue that is full, and calls of a Python script as a task, with a process
for each call and with one that lasts. Printed are milliseconds a message, by the clock and of CPU time (which other
programs on the machine disturb less), as the median with the lowest and the highest; ratios are made within a round.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from penstock import Penstock
from penstock.client import operations
from tests.processes import PENSTOCK, clean_environment

ROUNDS = 3
CALLS = 10  # of a process for each call: it is slow
TRUE = "/bin/true"
SCRIPT = """
import json, sys
for line in sys.stdin:
    print(json.dumps(json.loads(line)["x"]), flush=True)
"""

#: milliseconds a message: by the clock, and of CPU time
Cost = tuple[float, float]


def measured(count: int, work: Callable[[], float]) -> Cost:
    """`work` returns the seconds that count; its CPU time is that of this process and those that it waited for."""
    before = _cpu()
    seconds = work()
    return 1000 * seconds / count, 1000 * (_cpu() - before) / count


def bare(count: int) -> Cost:
    def work() -> float:
        begun = time.perf_counter()
        for _ in range(count):
            os.waitpid(os.posix_spawn(TRUE, [TRUE], os.environ), 0)
        return time.perf_counter() - begun

    return measured(count, work)


def consumed(count: int, folder: Path, parallel: int, *more: str) -> Cost:
    """From the moment at which the consumer is ready to its end; the CPU time of its start is not counted."""
    url = f"sqlite:///{folder}/{time.monotonic_ns()}.db"
    app = Penstock("bench", broker=url, result_backend=url)

    async def fill() -> None:
        async with app.backends() as backends:
            for _ in range(count + 1):
                await operations.publish(backends, "work", b"x")

    asyncio.run(fill())

    def work(some: int) -> float:
        ready, told = os.pipe()
        options = ["-u", url, "-q", "work", "-n", f"{parallel}", "-c", f"{some}", "--ready", f"{told}", *more]
        consumer = subprocess.Popen(
            [PENSTOCK, "consume", *options, "--log-level", "error", TRUE], pass_fds=[told], env=clean_environment()
        )
        os.close(told)
        os.read(ready, 1)
        begun = time.perf_counter()
        assert consumer.wait() == 0
        os.close(ready)
        return time.perf_counter() - begun

    _, start = measured(1, lambda: work(1))
    clock, cpu = measured(count, lambda: work(count))
    return clock, cpu - start / count


def called(count: int, pool: int) -> Cost:
    """A task that is called directly: what the program costs, and nothing else. `pool` 0: a process for each call."""
    app = Penstock("bench", broker=f"memory://programs-{pool}")
    task = app.program(
        "echo",
        [sys.executable, "-c", SCRIPT],
        parameters={"x": int},
        pool=pool,
    )

    async def calls() -> float:
        assert await task.run(x=1) == 1
        begun = time.perf_counter()
        for number in range(count):
            assert await task.run(x=number) == number
        return time.perf_counter() - begun

    return measured(count, lambda: asyncio.run(calls()))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            rows.setdefault("bare start", []).append(bare(count))
            rows.setdefault("consume -n 1", []).append(consumed(count, Path(folder), 1))
            rows.setdefault("consume -n 1 -p 2", []).append(consumed(count, Path(folder), 1, "-p", "2"))
            rows.setdefault("consume -n 4", []).append(consumed(count, Path(folder), 4))
            rows.setdefault("a process for each call", []).append(called(CALLS, 0))
            rows.setdefault("one that lasts", []).append(called(count, 1))
    print(f"{count} messages, {ROUNDS} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, costs in rows.items():
        print(f"{name:24} {_spread([cost[0] for cost in costs])} ms, {_spread([cost[1] for cost in costs])} ms of CPU")
    for name in [each for each in rows if each.startswith("consume")]:
        pairs = list(zip(rows[name], rows["bare start"], strict=True))
        clock = [our[0] - their[0] for our, their in pairs]
        cpu = [our[1] - their[1] for our, their in pairs]
        print(f"{name}, over bare: {_spread(clock)} ms, {_spread(cpu)} ms of CPU")
    pairs = list(zip(rows["a process for each call"], rows["one that lasts"], strict=True))
    print(f"one that lasts is {_spread([each[0] / lasting[0] for each, lasting in pairs])} times as fast")


def _cpu() -> float:
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in both)


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main()
