"""What a dashboard costs its worker: `python -m bench.watched` drains 30,000 tasks with and without it open, in turns.

The queue is filled while it is paused; then one worker process drains it, while a browser shows the overview, the list
of tasks and the queues, each live, or while nobody looks. Printed are tasks a second, and the ratio of the medians.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

TASKS = 30_000
ROUNDS = 5
PORT = 8398
PAGES = ("/ui", "/ui/tasks", "/ui/queues")
URL = f"http://127.0.0.1:{PORT}"

APP = """
from penstock import Penstock

app = Penstock("watched")


@app.task
def add(x: int, y: int) -> int:
    return x + y
"""


def ask(path: str, content: Any = None) -> Any:
    body = b"" if content is None else json.dumps(content).encode()
    request = urllib.request.Request(URL + path, body, {"content-type": "application/json"} if body else {})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return json.loads(answer.read())


@contextmanager
def server(folder: Path) -> Iterator[None]:
    """An API and a worker in `folder`."""
    (folder / "app.py").write_text(APP)
    penstock = str(Path(sys.executable).with_name("penstock"))
    commands = (["api", "app.py", "--port", str(PORT)], ["worker", "app.py", "--processes", "1"])
    with (folder / "log").open("ab") as log:
        running = [
            subprocess.Popen([penstock, *command], cwd=folder, stdout=log, stderr=log, start_new_session=True)
            for command in commands
        ]
        try:
            yield
        finally:
            for each in running:
                os.killpg(each.pid, signal.SIGTERM)
                each.wait(60)


def ended(folder: Path) -> int:
    with closing(sqlite3.connect(f"file:{folder}/penstock.db?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM records WHERE finished_at IS NOT NULL").fetchone()[0])


def drained(folder: Path, browser: Browser | None) -> float:
    """Tasks a second while a full queue is drained."""
    ask("/queues/default/pause", {})
    before = ended(folder)
    for _ in range(TASKS // 10_000):
        ask("/tasks", [{"task": "add", "args": [n, 1]} for n in range(10_000)])
    contexts = [] if browser is None else [browser.new_context() for _ in PAGES]
    for context, path in zip(contexts, PAGES, strict=False):
        page = context.new_page()
        page.goto(URL + path)
        page.wait_for_selector(".side button:has-text('Live')")
    time.sleep(3.0)
    ask("/queues/default/resume", {})
    began = time.perf_counter()
    while ended(folder) < before + TASKS:
        time.sleep(0.1)
    took = time.perf_counter() - began
    for context in contexts:
        context.close()
    return TASKS / took


def measure(folder: Path) -> None:
    with server(folder), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        time.sleep(5.0)
        rounds: dict[bool, list[float]] = {False: [], True: []}
        drained(folder, None)  # the first is for warming up
        for _ in range(ROUNDS):
            for watched, found in rounds.items():
                found.append(drained(folder, browser if watched else None))
                print(f"{'open' if watched else 'closed':8} {found[-1]:8.0f} tasks/s", flush=True)
        closed, opened = (statistics.median(found) for found in rounds.values())
        print(f"closed {closed:.0f}, open {opened:.0f} tasks/s: {100 * (1 - opened / closed):+.1f} % lost")
        browser.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        measure(Path(place))
