"""`python -m tests.soak`: steady load on each broker at the same time; exit 1 if anything grew beyond its bound.

`make soak` runs it for half an hour; the integration tests run it for half a minute on one broker. What the bounds are
and why stands in bounds.py.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
from pathlib import Path

from tests import servers
from tests.chaos.ground import brokers
from tests.soak.run import Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--brokers", default=",".join(brokers()), help="with commas between them; all at the same time")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=40, help="tasks a second on each broker")
    parser.add_argument("--warm-up", type=float, default=5.0, help="minutes that growth is not counted from")
    given = parser.parse_args()
    with contextlib.ExitStack() as opened:
        soaks = [_opened(opened, name, given.rate) for name in given.brokers.split(",")]
        watchers = [threading.Thread(target=soak.watch, args=(given.minutes * 60,), name=soak.broker) for soak in soaks]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join()
        well = [_told(soak, given.warm_up * 60) for soak in soaks]
    servers.end()
    return 0 if all(well) else 1


def _opened(opened: contextlib.ExitStack, name: str, rate: int) -> Soak:
    folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="penstock-soak-"))
    return opened.enter_context(Soak(name, Path(folder), rate))


def _told(soak: Soak, warm_up: float) -> bool:
    """Print one broker's verdict; whether it is well."""
    courses = soak.verdict(warm_up)
    well = not soak.failures and not any(course.fault for course in courses)
    tasks = soak.seconds * soak.rate
    print(f"{soak.broker}: {'well' if well else 'NOT WELL'} after {tasks:,} tasks in {soak.samples[-1].at:,.0f} s")  # noqa: T201
    print(*(f"    {line}" for line in (*soak.failures, *courses)), sep="\n", flush=True)  # noqa: T201
    return well


if __name__ == "__main__":
    sys.exit(main())
