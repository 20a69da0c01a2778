"""Idempotency-Key (the IETF draft): a request that is sent again is carried out once.

A key is first reserved, with the ids that its tasks will have. Once they are queued the reservation is marked done and
kept for a day: the same request gets the same answer. A server that died in between leaves a reservation that is taken
over after HELD seconds with the same ids, so that what was queued is not queued twice. One that could not finish
because a server behind it was away is left open: the same request resumes it at once, another one may replace it.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from penstock.api import problems
from penstock.api.problems import Problem, retry_after
from penstock.core.errors import StorageError, Unavailable
from penstock.core.results import Keys

log = logging.getLogger("penstock.api")

KEPT = 86_400.0  # seconds
HELD = 30.0  # seconds after which a reservation is taken for abandoned
LONGEST = 255


class Reservation(msgspec.Struct, frozen=True):
    """What is kept under a key."""

    request: str  #: hash of what was asked
    task_ids: list[str]
    since: float  #: when it was first made, unix seconds
    at: float  #: when it was last taken up
    state: Literal["held", "open", "done"] = "held"


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Reservation).decode

#: Queues the tasks of these ids; the second argument is since when they may be there already, None if they cannot.
Queue = Callable[[list[str], float | None], Awaitable[None]]


def key_of(given: str) -> str:
    """The key that a header carries; the draft puts it in quotes, many clients do not."""
    key = given[1:-1] if len(given) > 2 and given[0] == given[-1] == '"' else given
    if not key or len(key) > LONGEST or not key.isascii() or not key.isprintable():
        raise ValueError(f"must be 1 to {LONGEST} printable ASCII characters")
    return key


def request_hash(*parts: bytes) -> str:
    """A hash that is the same only for the same request."""
    digest = hashlib.blake2b(digest_size=20)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.hexdigest()


@dataclass(slots=True)
class Idempotency:
    """Carries out requests once. `owner` separates the keys of one API key's holder from another's."""

    keys: Keys
    owner: str
    clock: Callable[[], float] = time.time

    async def once(self, key: str, request: str, task_ids: list[str], queue: Queue) -> list[str]:
        """Queue under `task_ids` unless that was done before; return the ids that the request's tasks have.

        Raises a Problem: 409 while the first is being processed, 422 if the key was used for another request.
        """
        name = "idempotency:" + request_hash(self.owner.encode(), key.encode())
        now = self.clock()
        mine = Reservation(request, task_ids, now, now)
        found = await self.keys.add(name, encode(mine), KEPT)
        if found is None:
            return await self._carry_out(name, mine, queue, None)
        held = decode(found)
        if held.request == request:
            if held.state == "done":
                return held.task_ids
            mine = msgspec.structs.replace(held, at=now, state="held")
        elif held.state != "open":
            raise Problem(problems.KEY_REUSED, "this Idempotency-Key was sent with another method, path or body")
        abandoned = held.state == "open" or now - held.at > HELD
        if not abandoned or not await self.keys.swap(name, found, encode(mine), KEPT):
            raise Problem(problems.IN_PROGRESS, "the first request is still being processed", headers=retry_after(1))
        return await self._carry_out(name, mine, queue, mine.since if held.request == request else None)

    async def _carry_out(self, name: str, mine: Reservation, queue: Queue, since: float | None) -> list[str]:
        try:
            await queue(mine.task_ids, since)
        except (Unavailable, StorageError):
            await self._leave(name, mine, "open")
            raise
        except Exception:  # whatever it is, the answer is not a 202: the key is free again
            if self.clock() - mine.at <= HELD:  # afterwards it may be somebody else's
                await self.keys.delete(name)
            raise
        await self._leave(name, mine, "done")
        return mine.task_ids

    async def _leave(self, name: str, mine: Reservation, state: Literal["open", "done"]) -> None:
        """Mark how far it came. If that fails, the reservation is taken over later, with the same ids."""
        try:
            await self.keys.swap(name, encode(mine), encode(msgspec.structs.replace(mine, state=state)), KEPT)
        except (Unavailable, StorageError) as outage:
            log.warning("an Idempotency-Key stays reserved: %s", outage)
