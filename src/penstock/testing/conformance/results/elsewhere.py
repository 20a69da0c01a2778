"""Jobs for another process: `python -m penstock.testing.conformance.results.elsewhere OPENER URL JOB ARGUMENTS…`.

Each prints a line once what it tells of is in the store.
"""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module

from penstock.core.record import Command
from penstock.core.results import ResultBackend
from penstock.testing.conformance.results.samples import created, ending, lease, read, record


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def create(results: ResultBackend, prefix: str, count: str, batch: str) -> None:
    """Create `count` records in batches; print their ids."""
    for first in range(0, int(count), int(batch)):
        tasks = await created(results, *(record(f"{prefix}-{first + turn}") for turn in range(int(batch))))
        tell("\n".join(task.task_id for task in tasks))


async def finish(results: ResultBackend) -> None:
    """End the tasks whose ids come on STDIN."""
    own = await lease(results)
    tell("ready")
    while task_id := (await asyncio.to_thread(sys.stdin.readline)).strip():
        await results.records.finish([ending(await read(results, task_id))], own)
        tell(task_id)


async def send(results: ResultBackend, worker: str) -> None:
    """Put a letter into the worker's mailbox."""
    await results.mailbox.send(worker, Command(id="letter", method="ping"))
    tell("sent")


async def hold(results: ResultBackend, seconds: str) -> None:
    """Take out a lease, print it, and sleep until killed."""
    tell(await lease(results, float(seconds)))
    await asyncio.Event().wait()


JOBS = {"create": create, "finish": finish, "send": send, "lease": hold}


async def main(opener: str, url: str, job: str, *arguments: str) -> None:
    """Open the store, do the job, close it."""
    module, _, name = opener.partition(":")
    results: ResultBackend = getattr(import_module(module), name)(url)
    await results.open()
    try:
        await JOBS[job](results, *arguments)  # type: ignore[operator]
    finally:
        await results.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
