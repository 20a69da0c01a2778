"""`Prefer: wait=N` (RFC 7240 §4.3): how long a caller would like to wait for the task to end."""

from __future__ import annotations

import asyncio
import re

from penstock.api.site import Site
from penstock.core.record import Record
from penstock.core.states import ENDED

LONGEST = 60.0  # seconds

APPLIED = ((b"preference-applied", b"wait"),)


def wait_of(given: str) -> float | None:
    """The seconds that a Prefer header asks to wait, at most LONGEST; None if it does not ask.

    What is not understood is passed over, as the RFC demands; of several the first counts.
    """
    for preference in given.split(","):
        name, _, text = preference.partition(";")[0].partition("=")
        seconds = text.strip().strip('"')
        if name.strip().lower() == "wait" and re.fullmatch(r"[0-9]{1,9}", seconds):
            return min(float(seconds), LONGEST)
    return None


async def ended(site: Site, task_id: str, seconds: float) -> Record | None:
    """The task's record, if it ends within so many seconds; None if not, or when the server is shutting down."""
    async with site.feed.listen([task_id]) as listener:
        deadline = asyncio.get_running_loop().time() + seconds
        record = await _ended_now(site, task_id)
        while record is None and not listener.closed:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            if any(line.change.state in ENDED for line in await listener.take(left)):
                record = await _ended_now(site, task_id)
        return record


async def _ended_now(site: Site, task_id: str) -> Record | None:
    found = await site.backends.results.records.get([task_id])
    record = found.get(task_id)
    return record if record is not None and record.state in ENDED else None
