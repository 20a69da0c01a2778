"""What a contender's own Python does: `python -m bench.inside APP VERB ARGUMENTS` prints one line of JSON.

Standard library only. APP is a module of bench/apps with some of these: send(task, *args) → handle, asend,
send_many(task, [args, …]), get(handle), aget(handle); and ready(count, task, args), called before the clock runs.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

App = Any  # a module of bench/apps
WARM = 20  # calls before the clock runs: files are opened, caches filled


def submit(app: App, count: int) -> float:
    """Tasks a second, one after the other."""
    _ready(app, count + WARM, "add", [1, 2])
    for number in range(WARM):
        app.send("add", number, 1)
    start = time.perf_counter()
    for number in range(count):
        app.send("add", number, 1)
    return count / (time.perf_counter() - start)


def bulk(app: App, count: int, size: int) -> float:
    """Tasks a second, in batches of `size`."""
    _ready(app, count + size, "add", [1, 2])
    app.send_many("add", [(number, 1) for number in range(size)])
    start = time.perf_counter()
    for first in range(0, count, size):
        app.send_many("add", [(number, 1) for number in range(first, first + size)])
    return count / (time.perf_counter() - start)


def asubmit(app: App, count: int, width: int) -> float:
    """Tasks a second from `width` coroutines, each of which sends one after the other."""

    async def sender(share: int) -> None:
        for number in range(share):
            await app.asend("add", number, 1)

    async def senders() -> float:
        await sender(WARM)
        start = time.perf_counter()
        await asyncio.gather(*(sender(count // width) for _ in range(width)))
        return count / (time.perf_counter() - start)

    return asyncio.run(senders())


def fill(app: App, task: str, args: list[Any], count: int) -> None:
    """Queue `count` tasks, as fast as may be."""
    _ready(app, count, task, args)
    if not hasattr(app, "send_many"):
        for _ in range(count):
            app.send(task, *args)
        return
    for size in _portions(count, 1000):
        app.send_many(task, [args] * size)


def latency(app: App, count: int, pause: float) -> list[float]:
    """Seconds from each call to its result, `pause` seconds apart."""
    taken = []
    for number in range(WARM + count):
        time.sleep(pause)
        start = time.perf_counter()
        app.get(app.send("add", number, 1))
        taken.append(time.perf_counter() - start)
    return taken[WARM:]


def alatency(app: App, count: int, pause: float) -> list[float]:
    """The same, on an event loop."""

    async def calls() -> list[float]:
        taken = []
        for number in range(WARM + count):
            await asyncio.sleep(pause)
            start = time.perf_counter()
            await app.aget(await app.asend("add", number, 1))
            taken.append(time.perf_counter() - start)
        return taken[WARM:]

    return asyncio.run(calls())


def versions(_app: App, packages: list[str]) -> dict[str, str]:
    """The versions of installed packages, and of this Python and its SQLite."""
    found = {package: version(package) for package in packages}
    return found | {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version}


VERBS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (submit, bulk, asubmit, fill, latency, alatency, versions)
}


def _ready(app: App, count: int, task: str, args: list[Any]) -> None:
    if hasattr(app, "ready"):
        app.ready(count, task, args)


def _portions(count: int, size: int) -> Iterator[int]:
    for first in range(0, count, size):
        yield min(size, count - first)


if __name__ == "__main__":
    name, verb, arguments = sys.argv[1:]
    print(json.dumps(VERBS[verb](import_module(name), **json.loads(arguments))))
