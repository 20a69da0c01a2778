"""What the API and the dashboard cost a worker: `python -m bench.watched [ROUNDS]`, about a minute a round.

One worker process drains 30,000 no-op tasks from a file of SQLite, filled while its queue is paused, in three ways
that take turns: `alone`, with no API process at all; `closed`, with an API process, and nobody looking; `open`, with a
browser besides that shows the overview, the list of tasks and the queues, each live. The worker is the same all the
time, with its history and its feed. The browser has the lowest priority, for it would be on another machine.

Printed are tasks a second; the CPU time that the worker's processes spent for a task, which a busy machine disturbs
less than the clock; and the shares of a core that API and browser took meanwhile. Then the medians, and the median over
the rounds of what was lost against `alone` in the same round.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, Playwright, async_playwright

from penstock import Penstock

TASKS = 30_000
ROUNDS = 5
SETTLED = 3.0  # seconds from the last page's being there to the start
PORT = 8398
PAGES = ("/ui", "/ui/tasks", "/ui/queues")
URL = f"http://127.0.0.1:{PORT}"
WAYS = ("alone", "closed", "open")
LEAST = 19  # niceness
FIELDS = ("speed", "worker", "api", "browser")

APP = """
from penstock import Penstock

app = Penstock("watched")


@app.task
def add(x: int, y: int) -> int:
    return x + y
"""


@dataclass(frozen=True)
class Figures:
    """Of one drain."""

    speed: float  #: tasks a second
    worker: float  #: CPU of the worker's processes, microseconds a task
    api: float  #: CPU of the API's processes, share of a core
    browser: float  #: the same of the browser


@dataclass(frozen=True)
class Bench:
    """A folder with a store, the worker in it, and the browser that may look at it."""

    folder: Path
    worker: int
    browser: Browser

    async def drained(self, way: str) -> Figures:
        """The figures while a full queue is drained in this way."""
        async with AsyncExitStack() as stack:
            api = (
                0 if way == "alone" else stack.enter_context(started(self.folder, "api", "app.py", "--port", str(PORT)))
            )
            if api:
                await until(answers)
            await filled(self.url, TASKS)
            for path in PAGES if way == "open" else ():
                context = await self.browser.new_context()
                stack.push_async_callback(context.close)
                page = await context.new_page()
                await page.goto(URL + path)
                await page.wait_for_selector(".side button:has-text('Live')")
            await asyncio.sleep(SETTLED)
            before, began = self._used(api), time.perf_counter()
            await paused(self.url, False)
            await until(self._empty)
            took = time.perf_counter() - began
            worker, served, shown = (later - now for now, later in zip(before, self._used(api), strict=True))
            return Figures(TASKS / took, worker * 1e6 / TASKS, served / took, shown / took)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/penstock.db"

    def _used(self, api: int) -> tuple[float, float, float]:
        """CPU seconds so far of worker, API and browser, whose processes are put last."""
        shown = family(os.getpid()) - family(self.worker) - family(api) - {os.getpid()}
        for pid in shown:
            os.setpriority(os.PRIO_PROCESS, pid, LEAST)
        return seconds(family(self.worker)), seconds(family(api)), seconds(shown)

    def _empty(self) -> bool:
        with closing(sqlite3.connect(f"file:{self.folder}/penstock.db?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT NOT EXISTS (SELECT 1 FROM messages)").fetchone()[0])


async def paused(url: str, on: bool) -> None:
    backends = Penstock("watched", broker=url).backends()
    await backends.open()
    await backends.broker.pause("default", on)
    await backends.close()


async def filled(url: str, number: int) -> None:
    """Have so many tasks wait in a paused queue."""
    await paused(url, True)
    app = Penstock("watched", broker=url)
    await app.asubmit_many((("add", (n, 1)) for n in range(number)), check=False)
    await app.aclose()


@contextmanager
def started(folder: Path, *command: str) -> Iterator[int]:
    """A running command of ours; its process id."""
    with (folder / "log").open("ab") as log:
        program = Path(sys.executable).with_name("penstock")
        running = subprocess.Popen([program, *command], cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            yield running.pid
        finally:
            os.killpg(running.pid, signal.SIGTERM)
            running.wait(60)


async def until(true: Callable[[], bool]) -> None:
    """Look every twentieth of a second: waiting must cost nothing."""
    while not true():  # noqa: ASYNC110 (what is waited for is in other processes)
        await asyncio.sleep(0.05)


def answers() -> bool:
    try:
        with urllib.request.urlopen(f"{URL}/health/ready") as answer:  # noqa: S310
            return bool(answer.status == 200)
    except urllib.error.URLError:
        return False


def family(root: int) -> set[int]:
    """A process and all that descend from it; nobody for 0."""
    parents = {}
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(each.parent.name)] = int(each.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
    found = {root} & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def seconds(pids: set[int]) -> float:
    """CPU seconds of these processes, and of those of theirs that have ended."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


async def measure(folder: Path, rounds: int) -> None:
    (folder / "app.py").write_text(APP)
    with started(folder, "worker", "app.py", "--processes", "1") as worker:
        async with async_playwright() as playwright:
            await take_turns(folder, worker, playwright, rounds)


async def take_turns(folder: Path, worker: int, playwright: Playwright, rounds: int) -> None:
    flags = ["--no-sandbox", "--disable-gpu"]
    browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
    bench = Bench(folder, worker, browser)
    await bench.drained("open")  # for warming up
    found: dict[str, list[Figures]] = {way: [] for way in WAYS}
    print(f"{'':8}{'tasks/s':>9}{'worker µs/task':>16}{'API cores':>11}{'browser':>9}")
    for number in range(rounds):
        for way in (*WAYS[number % 3 :], *WAYS[: number % 3]):
            found[way].append(await bench.drained(way))
            tell(way, found[way][-1])
    print("medians")
    for way, each in found.items():
        tell(way, Figures(*(statistics.median(getattr(one, name) for one in each) for name in FIELDS)))
    for way in WAYS[1:]:
        pairs = list(zip(found["alone"], found[way], strict=True))
        slower = statistics.median(1 - this.speed / alone.speed for alone, this in pairs)
        dearer = statistics.median(this.worker / alone.worker - 1 for alone, this in pairs)
        print(f"{way:8} {100 * slower:+.1f} % of the tasks a second lost, {100 * dearer:+.1f} % CPU a task")
    await browser.close()


def tell(way: str, it: Figures) -> None:
    print(f"{way:8}{it.speed:9.0f}{it.worker:16.1f}{it.api:11.2f}{it.browser:9.2f}", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(measure(Path(place), int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
