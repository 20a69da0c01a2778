"""Another process that opens the same store: its jobs stand in `broker/elsewhere` and `results/elsewhere`.

Each prints a line once what it tells of is in the store.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol


class Shared(Protocol):
    """A store that other processes can open too."""

    opener: str
    url: str


@asynccontextmanager
async def elsewhere(suite: str, store: Shared, *job: str) -> AsyncIterator[Process]:
    """A job of the module `elsewhere` of a suite, "broker" or "results", in another process, killed on leaving."""
    module = f"penstock.testing.conformance.{suite}.elsewhere"
    program = [sys.executable, "-m", module, store.opener, store.url, *job]
    process = await asyncio.create_subprocess_exec(*program, stdin=PIPE, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line(process: Process) -> str:
    """The next line that it prints."""
    assert process.stdout
    async with asyncio.timeout(30):
        return (await process.stdout.readline()).decode().strip()


async def lines(process: Process) -> list[str]:
    """The lines that it prints until it ends."""
    output, _ = await process.communicate()
    return output.decode().splitlines()
