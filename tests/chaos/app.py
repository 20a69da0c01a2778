"""The app under chaos: every run of a task leaves two lines in the ledger, a FIFO that the harness reads."""

from __future__ import annotations

import asyncio
import os
import time

from penstock import Penstock
from penstock.client.context import running

app = Penstock("chaos")
_LEDGER = os.open(os.environ["CHAOS_LEDGER"], os.O_WRONLY) if "CHAOS_LEDGER" in os.environ else -1


def _note(event: str) -> None:
    """A line in one write, so that processes do not mix theirs: task id, event, pid."""
    current = running.get()
    assert current is not None
    os.write(_LEDGER, f"{current.request.id} {event} {os.getpid()}\n".encode())


@app.task
def work(seconds: float) -> float:
    _note("begin")
    time.sleep(seconds)
    _note("end")
    return seconds


@app.task
async def awork(seconds: float) -> float:
    _note("begin")
    await asyncio.sleep(seconds)
    _note("end")
    return seconds
