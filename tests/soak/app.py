"""The app under steady load: one task of each kind, a schedule, and nothing that keeps anything."""

from __future__ import annotations

import asyncio

from penstock import Penstock
from penstock.client.context import running

app = Penstock("soak")


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
async def rest(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@app.task
def fail(text: str) -> None:
    raise ValueError(text)


@app.task(max_retries=1, retry_backoff=0.1, retry_jitter=False)
def flaky() -> int:
    current = running.get()
    assert current is not None
    if current.request.retries == 0:
        raise ValueError("not yet")
    return current.request.retries


@app.task
def parent(count: int) -> int:
    for number in range(count):
        add.delay(number, count)
    return count


@app.periodic(every=1, name="tick")
@app.task
def tick() -> None:
    return None
