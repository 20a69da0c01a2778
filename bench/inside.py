"""What a contender's own Python does: `python -m bench.inside APP VERB ARGUMENTS` prints one line of JSON.

Standard library only. APP is a module of bench/apps with some of these: send(task, *args) → handle, send_many(task,
[args, …]), get(handle), their asynchronous likes asend, asend_many, aget; and ready(count, task, args), called before
the clock runs.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.metadata import version
from typing import Any

App = Any  # a module of bench/apps
WARM = 20  # calls before the clock runs: files are opened, caches filled
CROWD = 32  # coroutines that send, where there is no call for many


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

    batches = [[(number, 1) for number in range(first, first + size)] for first in range(-size, count, size)]
    return count / _send_all(app, "add", batches)


def asubmit(app: App, count: int, width: int) -> float:
    """Tasks a second from `width` coroutines, each of which sends one after the other."""

    _ready(app, count + WARM, "add", [1, 2])

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
    _send_all(app, task, ([args] * size for size in _portions(count, 1000)))


def mark(app: App, count: int) -> None:
    """Queue `count` tasks that leave a mark, each its own number."""
    _ready(app, count, "mark", [0])
    _send_all(app, "mark", [[[number] for number in range(count)]])


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


def steady(app: App, task: str, args: list[Any], rate: float) -> None:
    """Send `rate` tasks a second, evenly spaced, until killed; what could not be sent in time follows at once."""
    _ready(app, WARM, task, args)
    if hasattr(app, "send"):
        for wait in _even(rate):
            time.sleep(wait)
            app.send(task, *args)
        return

    async def sends() -> None:
        for wait in _even(rate):
            await asyncio.sleep(wait)
            await app.asend(task, *args)

    asyncio.run(sends())


def versions(_app: App, packages: list[str]) -> dict[str, str]:
    """The versions of installed packages, and of this Python and its SQLite."""
    found = {package: version(package) for package in packages}
    return found | {"python": sys.version.split()[0], "sqlite": sqlite3.sqlite_version}


VERBS: dict[str, Callable[..., Any]] = {
    each.__name__: each for each in (submit, bulk, asubmit, fill, mark, latency, alatency, steady, versions)
}


def _ready(app: App, count: int, task: str, args: list[Any]) -> None:
    if hasattr(app, "ready"):
        app.ready(count, task, args)


def _send_all(app: App, task: str, batches: Iterable[list[Any]]) -> float:
    """Send them in the quickest way that the app has; return the seconds that all but the first batch took."""
    if not hasattr(app, "send"):
        return asyncio.run(_asend_all(app, task, batches))
    start = 0.0
    for batch in batches:
        if hasattr(app, "send_many"):
            app.send_many(task, batch)
        else:
            for args in batch:
                app.send(task, *args)
        start = start or time.perf_counter()
    return time.perf_counter() - start


async def _asend_all(app: App, task: str, batches: Iterable[list[Any]]) -> float:
    async def share(left: Iterator[Any]) -> None:
        for args in left:
            await app.asend(task, *args)

    start = 0.0
    for batch in batches:
        if hasattr(app, "asend_many"):
            await app.asend_many(task, batch)
        else:
            left = iter(batch)
            await share(itertools.islice(left, 1))  # what connects does so once
            await asyncio.gather(*(share(left) for _ in range(CROWD)))
        start = start or time.perf_counter()
    return time.perf_counter() - start


def _even(rate: float) -> Iterator[float]:
    """Seconds to wait before each of so many events a second, for ever."""
    start = time.perf_counter()
    for number in itertools.count():
        yield max(0.0, start + number / rate - time.perf_counter())


def _portions(count: int, size: int) -> Iterator[int]:
    for first in range(0, count, size):
        yield min(size, count - first)


if __name__ == "__main__":
    name, verb, arguments = sys.argv[1:]
    print(json.dumps(VERBS[verb](import_module(name), **json.loads(arguments))), flush=True)
