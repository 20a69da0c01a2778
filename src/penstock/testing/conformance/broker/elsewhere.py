"""Jobs for another process: `python -m penstock.testing.conformance.broker.elsewhere OPENER URL JOB ARGUMENTS…`."""

from __future__ import annotations

import asyncio
import sys
import time
from importlib import import_module

from penstock.core.broker import Broker
from penstock.testing.conformance.broker.samples import consumer, fetch, task


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def publish(broker: Broker, count: str, batch: str) -> None:
    """Publish `count` messages in batches; print their ids."""
    for first in range(0, int(count), int(batch)):
        names = [str(first + turn) for turn in range(int(batch))]
        await broker.publish([task(name) for name in names])
        tell("\n".join(names))


async def answer(broker: Broker) -> None:
    """Publish a message for each line on STDIN; print when, by the clock that all processes share."""
    tell("ready")
    while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
        at = time.monotonic()
        await broker.publish([task(name)])
        tell(str(at))


async def hold(broker: Broker, lease: str, count: str) -> None:
    """Claim `count` messages, print their ids, and sleep until killed."""
    async with consumer(broker, lease=lease) as taker:
        for delivery in await fetch(taker, int(count)):
            tell(delivery.message.task_id)
        await asyncio.Event().wait()


async def take(broker: Broker, lease: str) -> None:
    """Claim and settle until a message called "end" comes; print the ids of the others."""
    async with consumer(broker, lease=lease) as taker:
        tell("ready")
        while True:
            batch = await fetch(taker, 10)
            await taker.settle(batch)
            names = [delivery.message.task_id for delivery in batch]
            tell("\n".join(name for name in names if name != "end"))
            if "end" in names:
                return


JOBS = {"publish": publish, "answer": answer, "hold": hold, "take": take}


async def main(opener: str, url: str, job: str, *arguments: str) -> None:
    """Open the store, do the job, close it."""
    module, _, name = opener.partition(":")
    broker: Broker = getattr(import_module(module), name)(url)
    await broker.open()
    try:
        await JOBS[job](broker, *arguments)  # type: ignore[operator]
    finally:
        await broker.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
