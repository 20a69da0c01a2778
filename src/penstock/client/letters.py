"""Asking a worker something through its mailbox, and the worker's side of answering.

The answer is a letter too, to a mailbox that is the question's own, so that nobody has to poll for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from penstock.client.backends import Backends
from penstock.core.errors import NotFound, ResultTimeout
from penstock.core.ids import new_id
from penstock.core.record import Command
from penstock.core.results import Watch

LOOK = 0.5  # seconds after which a worker that is silent is looked for


async def ask(
    backends: Backends,
    worker: str,
    method: str,
    arguments: Mapping[str, Any] | None = None,
    timeout: float = 5.0,
    *,
    keep: float | None = None,
) -> dict[str, Any]:
    """Send a live worker a letter and return its answer.

    The letter stays in its box for `keep` seconds, if not taken; None: for as long as the answer is waited for.
    Raises NotFound for a worker that is not there, or goes without an answer, and ResultTimeout if no answer came
    within `timeout` seconds.
    """
    if not await _is_there(backends, worker):
        raise NotFound(f"there is no live worker {worker!r}")
    mailbox, question = backends.results.mailbox, Command(id=new_id(), method=method, arguments=dict(arguments or {}))
    watch = mailbox.watch(_box(question))
    try:
        async with asyncio.timeout(timeout):
            await mailbox.send(worker, question, timeout if keep is None else keep)
            letters = await _taken(backends, worker, _box(question), watch)
    except TimeoutError:
        raise ResultTimeout(f"worker {worker!r} did not answer within {timeout:g} s") from None
    finally:
        await watch.close()
    return letters[0].arguments


async def _taken(backends: Backends, worker: str, box: str, watch: Watch) -> list[Command]:
    """What comes into the box, from a worker that is there."""
    there, look = True, time.monotonic() + LOOK
    while not (letters := await backends.results.mailbox.take(box)):
        if not there:
            raise NotFound(f"worker {worker!r} went without an answer")
        await watch.wait(max(0.0, look - time.monotonic()))
        if time.monotonic() >= look:
            there = await _is_there(backends, worker)  # its last answer may have come before it went
            look = time.monotonic() + LOOK
    return letters


async def _is_there(backends: Backends, worker: str) -> bool:
    return any(info.name == worker for info in await backends.results.workers.all())


async def answer(backends: Backends, question: Command, content: Mapping[str, Any]) -> None:
    """Answer a question that came by letter. An answer that nobody takes within a minute is thrown away."""
    letter = Command(id=new_id(), method="answer", arguments=dict(content))
    await backends.results.mailbox.send(_box(question), letter)


def _box(question: Command) -> str:
    return f"answer:{question.id}"
