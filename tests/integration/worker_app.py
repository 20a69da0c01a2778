"""The app that the worker's integration tests run. Each run leaves lines in a ledger beside the database."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sqlite3
import threading
import time
from pathlib import Path

from penstock import Penstock
from penstock.client.context import running
from penstock.core.errors import Ignore, Reject, SoftTimeLimitExceeded
from penstock.drivers.sqlite.transactions import Writer

app = Penstock("field")
LEDGER = Path(os.environ["LEDGER"])


def note(event: str) -> None:
    """A line in the ledger: task id, event, pid. One write, so that processes do not mix their lines."""
    current = running.get()
    task_id = current.request.id if current is not None else ""
    descriptor = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, f"{task_id} {event} {os.getpid()}\n".encode())
    os.close(descriptor)


@app.task
def add(x: int, y: int) -> int:
    note("begin")
    return x + y


@app.task
async def aadd(x: int, y: int) -> int:
    note("begin")
    return x + y


@app.task
def rest(seconds: float) -> int:
    note("begin")
    time.sleep(seconds)
    note("end")
    return os.getpid()


@app.task
def stay(flag: str) -> int:
    """Runs until there is a file of that name."""
    note("begin")
    while not Path(flag).exists():
        time.sleep(0.01)
    note("end")
    return os.getpid()


@app.task
async def arest(seconds: float) -> int:
    note("begin")
    await asyncio.sleep(seconds)
    note("end")
    return os.getpid()


@app.task
def spin(seconds: float) -> str:
    """Pure Python: gives the GIL away now and then, and can be interrupted."""
    note("begin")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    note("end")
    return "spun"


@app.task
def grip(seconds: float) -> str:
    """Holds the GIL: nothing else in its process runs meanwhile."""
    note("begin")
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    note("end")
    return "gripped"


@app.task
def grip_amid_write(seconds: float) -> str:
    """Takes the GIL in the middle of a write transaction of its own process, and so the database from everybody."""
    note("begin")
    amid, begin = threading.Event(), Writer._begin

    def stopping(writer: Writer) -> sqlite3.Connection:
        connection = begin(writer)
        amid.set()
        time.sleep(0.5)  # gives the GIL away, and does not get it back before it is let go
        return connection

    Writer._begin = stopping  # type: ignore[method-assign, assignment]
    amid.wait()
    Writer._begin = begin  # type: ignore[method-assign]
    ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    note("end")
    return "gripped"


@app.task
async def block(seconds: float) -> str:
    """A coroutine that blocks its loop."""
    note("begin")
    time.sleep(seconds)  # noqa: ASYNC251 - that is the point
    return "blocked"


@app.task
def crash(code: int = 3) -> None:
    note("begin")
    os._exit(code)


@app.task
def crash_once(marker: str) -> str:
    note("begin")
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(max_retries=2, retry_backoff=0.05, retry_jitter=False)
def flaky(good_at: int) -> int:
    note("begin")
    current = running.get()
    assert current is not None
    if current.request.retries < good_at:
        raise ValueError("not yet", current.request.retries)
    return current.request.retries


@app.task
def ends_with(what: str) -> object:
    note("begin")
    match what:
        case "exit":
            raise SystemExit(4)
        case "interrupt":
            raise KeyboardInterrupt
        case "generator":
            return (number for number in range(3))
        case "set":
            return {1, 2}
        case "nan":
            return float("nan")
        case "ignore":
            raise Ignore
        case "reject":
            raise Reject("no thanks")
        case "requeue":
            raise Reject("later", requeue=True)
    raise RuntimeError(what)


@app.task
def soft(seconds: float) -> str:
    """Cleans up at its soft limit."""
    note("begin")
    try:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass
    except SoftTimeLimitExceeded:
        note("soft")
        return "cleaned up"
    return "undisturbed"


@app.task
def soft_rest(seconds: float) -> str:
    """In a system call at its soft limit: only a process slot's signal can reach it."""
    note("begin")
    try:
        time.sleep(seconds)
    except SoftTimeLimitExceeded:
        note("soft")
        return "cleaned up"
    return "undisturbed"


@app.task
async def asoft(seconds: float) -> str:
    note("begin")
    try:
        await asyncio.sleep(seconds)
    except SoftTimeLimitExceeded:
        await asyncio.sleep(0.01)  # it goes on as before
        return "cleaned up"
    return "undisturbed"


@app.task
async def deaf(seconds: float) -> str:
    """Does not let itself be cancelled."""
    note("begin")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(until - time.monotonic())
    note("end")
    return "heard nothing"


@app.task(bind=True)
def steps(self, flag: str) -> str:  # type: ignore[no-untyped-def]
    """Reports progress until there is a file of that name."""
    note("begin")
    step = 0
    while not Path(flag).exists():
        step += 1
        self.progress(1 - 1 / (step + 1), f"step {step}")
        time.sleep(0.02)
    return "done"


@app.task
def parent(count: int) -> list[str]:
    return [add.delay(number, 1).id for number in range(count)]


@app.task
async def aparent(count: int) -> list[str]:
    return [(await add.adelay(number, 1)).id for number in range(count)]


hoard: list[bytes] = []


@app.task
def hog(mebibytes: int) -> int:
    note("begin")
    hoard.append(os.urandom(1) * (mebibytes << 20))
    return os.getpid()


@app.task
def fertile(seconds: float) -> None:
    """Submits without a pause, so that an interrupt strikes in the middle of a submission."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        add.apply_async((1, 2), queue="aside")
