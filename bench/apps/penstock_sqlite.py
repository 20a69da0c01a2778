"""Penstock in a file in the current folder, at its defaults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bench.apps import work
from penstock import Penstock, Task
from penstock.client.result import AsyncResult

app = Penstock("bench")

_tasks: dict[str, Task] = {"add": app.task(work.add), "spin": app.task(work.spin), "mark": app.task(work.mark)}


@app.task
async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)


_tasks["nap"] = nap


def send(task: str, *args: Any) -> AsyncResult[Any]:
    return _tasks[task].delay(*args)


async def asend(task: str, *args: Any) -> AsyncResult[Any]:
    return await _tasks[task].adelay(*args)


def send_many(task: str, many: Sequence[Sequence[Any]]) -> None:
    """The way of the HTTP API's arrays and of `penstock submit --bulk`: all prepared, then sent in one call."""
    prepared = [app.prepare(task, args) for args in many]
    app.portal.call(lambda submitter: submitter.submit(prepared))


def get(handle: AsyncResult[Any]) -> Any:
    return handle.get(timeout=10)


async def aget(handle: AsyncResult[Any]) -> Any:
    return await handle.aget(timeout=10)
