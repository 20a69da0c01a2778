"""A consumer that claims and sleeps: the half that is the same wherever messages are claimed and listeners are woken.

Pure waiting: what a claim does is the back end's.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from penstock.core.broker import Consumer
from penstock.core.message import Delivery
from penstock.core.results import Watch
from penstock.core.step import Step

#: DESIGN §5.6: a batch holds at most so many messages and bytes; a larger message is a batch of its own
BATCH = 100
BATCH_BYTES = 4 * 1024 * 1024
#: seconds after a fetch that failed during which a claim of it may still turn out to have been carried out
SUSPICION = 60.0
#: seconds between two looks for it
_LOOK = 1.0
#: seconds; a timer may fire a little early, then the claim finds nothing yet and it is set again
_SHORTEST = 0.001


class Listener(Watch):
    """A watch whose sleeper can be woken from this side, too."""

    @abstractmethod
    def poke(self) -> None:
        """Make the wait that goes on, or the next one, return True. Callable from the loop."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim brought."""

    deliveries: list[Delivery]
    next_due: float | None = None  #: where it left nothing: unix seconds at which a delayed message will be ready
    last: bool = False  #: it brought something, and is known to have left nothing


class Interruptible(Consumer):
    """A consumer whose fetch waits on this side, and so is ended from this side."""

    _fetching = _nudged = _stopped = False

    async def _fetch(self, limit: int) -> list[Delivery]:
        """Wait for a batch; nothing, once it is nudged or stopped."""
        if self._stopped:
            return []
        self._nudged, self._fetching = False, True
        try:
            return await self._wait(min(limit, BATCH))
        finally:
            self._fetching = False
            await self._rest()

    def nudge(self) -> None:
        """Make a waiting fetch return [] soon."""
        self._nudged = True
        self._wake()

    async def stop(self) -> None:
        """No more messages."""
        self._stopped = True
        if self._fetching:
            self.nudge()
        else:
            await self._rest()

    @abstractmethod
    async def _wait(self, limit: int) -> list[Delivery]:
        """A batch, as soon as there is one; nothing, once `_nudged` is set."""

    @abstractmethod
    def _wake(self) -> None:
        """Have the wait look at `_nudged` again."""

    @abstractmethod
    async def _rest(self) -> None:
        """A fetch has ended, or none is to come: once stopped, let go of what only a fetch needs."""


class ClaimingConsumer(Interruptible):
    """Claims until it gets something, sleeping on a listener in between."""

    def __init__(self, queues: Sequence[str], listen: Callable[[], Listener], clock: Callable[[], float]) -> None:
        self._queues = deque(dict.fromkeys(queues))
        self._listen = listen
        self._clock = clock
        self._listener: Listener | None = None
        self._drained: Claim | None = None  #: the last claim, if it left nothing: only a wake-up leads to more
        self._suspicious = 0.0  #: until when, by the monotonic clock

    @abstractmethod
    def claim(self, queues: Sequence[str], limit: int) -> Step[Claim]:
        """Claim at most `limit` messages, and BATCH_BYTES, from `queues`, the first of which has the first turn."""

    async def recovered(self) -> list[Delivery]:
        """What is claimed here and nobody was told of: the answer to the claim got lost. Nothing, where none can be."""
        return []

    async def fetch(self, limit: int) -> list[Delivery]:
        """Claim a batch; wait until there is one."""
        try:
            if self._stopped or time.monotonic() >= self._suspicious:
                return await self._fetch(limit)
            # A server may also carry out a claim after we have given it up: it is looked for again and again.
            if lost := await self.recovered():
                return lost
            look = asyncio.get_running_loop().call_later(_LOOK, self.nudge)
            try:
                return await self._fetch(limit)
            finally:
                look.cancel()
        except BaseException:  # whatever it is: nobody knows what the server has done
            self._suspicious = time.monotonic() + SUSPICION
            raise

    async def _wait(self, limit: int) -> list[Delivery]:
        listener = self._listener = self._listener or self._listen()
        while not self._nudged:
            claim, self._drained = self._drained, None
            if claim is None:
                self._queues.rotate(-1)
                claim = await self.claim(tuple(self._queues), limit)
                if claim.deliveries:
                    self._drained = Claim([], claim.next_due) if claim.last else None
                    return claim.deliveries
            pause = None if claim.next_due is None else max(_SHORTEST, claim.next_due - self._clock())
            await listener.wait(pause)
        return []

    def _wake(self) -> None:
        if self._listener is not None:
            self._listener.poke()

    async def _rest(self) -> None:
        if self._stopped and self._listener is not None:
            await self._listener.close()
