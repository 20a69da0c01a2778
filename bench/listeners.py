"""What 500 listeners cost: `python -m bench.listeners` runs 2,000 tasks a second with and without them, in turns.

Each listener watches one task of its own by server-sent events, on the one API process that also takes the load. The
watched tasks run in both kinds of rounds, spread over the load; each listener must see its task end. The load comes
from a process of its own, so that it does not wait for the listeners' side of the streams.
Throughput is tasks ended a second; p99 is of the time from a task's creation to its end, both read from the file.
"""

from __future__ import annotations

import asyncio
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
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

LISTENERS = 500
RATE = 2_000  # tasks a second
BATCH = 20  # tasks of one request
SECONDS = 10.0
ROUNDS = 3
PORT = 8399

APP = """
from penstock import Penstock

app = Penstock("listeners")


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task(queue="held")
def watched(x: int) -> int:
    return x
"""


async def request(port: int, method: str, path: str, body: Any = None) -> Any:
    """One request on a connection of its own; the decoded answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    content = b"" if body is None else json.dumps(body).encode()
    kind = "content-type: application/json\r\n" if content else ""
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n{kind}"
    writer.write(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
    answer = await reader.read()
    writer.close()
    head_bytes, _, payload = answer.partition(b"\r\n\r\n")
    if not head_bytes.split(b" ", 2)[1].startswith(b"2"):
        raise RuntimeError(answer[:500].decode(errors="replace"))
    return json.loads(payload) if payload else None


async def listen(port: int, task_id: str, opened: asyncio.Semaphore) -> bool:
    """Watch one task until its stream ends; whether its success was told."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /tasks/{task_id}/events HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode())
    stream = await reader.readuntil(b"data:")  # the first event: how the task stands
    opened.release()
    while b'"SUCCESS"' not in stream:
        more = await reader.read(65536)
        if not more:
            break
        stream = stream[-100:] + more
    writer.close()
    return b'"SUCCESS"' in stream


async def load(port: int, seconds: float, rate: int = RATE) -> int:
    """Submit `rate` tasks a second by arrays, paced by the clock; how many were accepted."""
    items = [{"task": "add", "args": [1, 2]}] * BATCH
    start, sent, accepted = time.monotonic(), 0, []
    while (passed := time.monotonic() - start) < seconds:
        while sent < passed * rate:
            accepted.append(asyncio.create_task(request(port, "POST", "/tasks", items)))
            sent += BATCH
        await asyncio.sleep(BATCH / rate)
    answers = await asyncio.gather(*accepted)
    return sum(len(answer["items"]) for answer in answers)


async def watched_load(port: int, count: int, seconds: float, rate: int = RATE) -> tuple[int, int]:
    """The load, and `count` tasks that begin in its middle, with a listener each.

    They wait in a paused queue, so all of them end at once. Answers the tasks of the load that were accepted, and the
    listeners that saw their task end.
    """
    await request(port, "POST", "/queues/held/pause")
    answers = await request(port, "POST", "/tasks", [{"task": "watched", "args": [number]} for number in range(count)])
    opened = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(listen(port, item["task_id"], opened)) for item in answers["items"]]
    for _ in listeners:
        await opened.acquire()
    running = asyncio.create_task(load(port, seconds, rate))
    await asyncio.sleep(seconds / 2)
    await request(port, "POST", "/queues/held/resume")
    accepted = await running
    return accepted, sum(await asyncio.wait_for(asyncio.gather(*listeners), 60))


def send(port: int, seconds: float) -> int:
    """The load, for a process of its own."""
    return asyncio.run(load(port, seconds))


async def spread_load(port: int, count: int, seconds: float, pool: Executor, listening: bool) -> int:
    """The load, and `count` tasks that run one after the other during it; how many listeners saw their task end."""
    settled = 2.0  # seconds for the listeners to come before the load begins
    items = [
        {"task": "watched", "args": [number], "countdown": settled + seconds * number / count}
        for number in range(count)
    ]
    answers = await request(port, "POST", "/tasks", items)
    begun, opened = time.monotonic(), asyncio.Semaphore(0)
    watched = answers["items"] if listening else []
    listeners = [asyncio.create_task(listen(port, item["task_id"], opened)) for item in watched]
    for _ in listeners:
        await opened.acquire()
    await asyncio.sleep(max(0.0, begun + settled - time.monotonic()))
    await asyncio.get_running_loop().run_in_executor(pool, send, port, seconds)
    return sum(await asyncio.wait_for(asyncio.gather(*listeners), 60))


@dataclass(frozen=True)
class Figures:
    """Of the tasks `add` created since a moment."""

    throughput: float  # tasks ended a second
    p99: float  # seconds from creation to end


def figures(database: Path, since: float) -> Figures:
    """Read from the file, once all of them have ended."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows: list[tuple[float, float]] = []
        while not rows or any(end is None for _, end in rows):
            time.sleep(0.2)
            statement = "SELECT created_at, finished_at FROM records WHERE task = 'add' AND created_at >= ?"
            rows = connection.execute(statement, (since,)).fetchall()
    spans = [end - created for created, end in rows]
    first, last = min(created for created, _ in rows), max(end for _, end in rows)
    return Figures(len(rows) / (last - first), statistics.quantiles(spans, n=100)[98])


def measure(folder: Path, pool: Executor) -> None:
    """Three rounds of both, and the ratios of their medians."""
    found: dict[str, list[Figures]] = {"without": [], "with": []}
    for number in range(ROUNDS):
        for name in ("without", "with") if number % 2 == 0 else ("with", "without"):
            since = time.time()
            seen = asyncio.run(spread_load(PORT, LISTENERS, SECONDS, pool, listening=name == "with"))
            if name == "with":
                print(f"round {number + 1}: {seen} of {LISTENERS} listeners saw their task end")
            found[name].append(figures(folder / "penstock.db", since))
            print(f"round {number + 1}: {name:7} {found[name][-1]}", flush=True)
    throughput = {name: statistics.median(each.throughput for each in rows) for name, rows in found.items()}
    p99 = {name: statistics.median(each.p99 for each in rows) for name, rows in found.items()}
    print(f"throughput with / without: {throughput['with'] / throughput['without']:.3f}")
    print(f"p99 with / without: {p99['with'] / p99['without']:.3f}")


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "app.py").write_text(APP)
    penstock = str(Path(sys.executable).with_name("penstock"))
    commands = (["api", "app.py", "--port", str(PORT)], ["worker", "app.py", "--processes", "1", "-Q", "default,held"])
    processes = [
        subprocess.Popen([penstock, *command], cwd=folder, stdout=subprocess.DEVNULL, start_new_session=True)
        for command in commands
    ]
    try:
        time.sleep(2)
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            pool.submit(send, PORT, 2.0).result()  # everything is warm before the first round
            measure(folder, pool)
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
