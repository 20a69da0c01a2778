"""Drivers on a file of the test's own, and calls on the caller's thread as the synchronous portal makes them."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from penstock.core.step import Step
from penstock.drivers.sqlite import SQLite

T = TypeVar("T")

ROWS = ["CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, value)"]


def driver(folder: Path, **options: Any) -> SQLite:
    """A driver for `folder/p.db` with one table."""
    made = SQLite(str(folder / "p.db"), **options)
    made.require("test", ROWS)
    return made


def add(on: SQLite, value: object = None, wakes: str = "") -> Step[int]:
    """A step that adds a row and returns its number."""

    def insert(connection: sqlite3.Connection) -> int:
        return connection.execute("INSERT INTO rows (value) VALUES (?)", (value,)).lastrowid or 0

    return on.write(insert, wakes)


def values(on: SQLite) -> Step[list[Any]]:
    """A step that reads all values in the order of their writing."""
    return on.read(lambda connection: [value for (value,) in connection.execute("SELECT value FROM rows ORDER BY id")])


def fail(on: SQLite) -> Step[None]:
    """A step that raises LookupError."""

    def raising(_connection: sqlite3.Connection) -> None:
        raise LookupError

    return on.write(raising)


def called(awaitable: Awaitable[T]) -> T:
    """What an awaitable in blocking mode answers; it must not suspend."""

    async def wait() -> T:
        return await awaitable

    coroutine: Coroutine[Any, Any, T] = wait()
    try:
        coroutine.send(None)
    except StopIteration as stop:
        answer: T = stop.value
        return answer
    coroutine.close()
    raise AssertionError("it suspended")


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Return as soon as `condition` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not come true"
        time.sleep(0.005)


@contextmanager
def python(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another Python process that runs `code`, killed on leaving."""
    program = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code, *map(str, arguments)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[str]) -> None:
    """A line on the STDIN of a process: go on."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that a process prints."""
    assert process.stdout
    return process.stdout.readline().strip()
