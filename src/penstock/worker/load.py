"""How much a child may hold: at most what will run in the next fraction of a second (DESIGN §7). Arithmetic only.

Each task's run time is learnt as it runs. A message costs the time it will probably take, at most the horizon: so a
slow or unknown task fills a slot, and a thousand quick ones fit beside each other.
"""

from __future__ import annotations

from collections.abc import Sequence

HORIZON = 0.25  #: seconds of work to hold, for each slot
BATCH = 100  #: messages of one fetch at most (DESIGN §5.6)
SLOW = 0.001  #: seconds; a run that takes longer is worth waking another thread for

_WEIGHT = 0.2  # of a new measurement
_RARE = 0.05  # a pool that gets fewer of the messages than this does not hold up the others


class Kind:
    """What is known of one task: whether it is a coroutine, or a program that one waits for, and how long it takes."""

    __slots__ = ("is_async", "is_program", "seconds")

    def __init__(self, is_async: bool, seconds: float | None = None, *, is_program: bool = False) -> None:
        self.is_async = is_async
        self.is_program = is_program
        self.seconds = seconds  #: None until it has run

    @property
    def slow(self) -> bool:
        """Takes long enough to give another thread the rest of the queue, or has not run yet."""
        return self.seconds is None or self.seconds > SLOW

    @property
    def cost(self) -> float:
        """Seconds of a slot that a message of this kind is reckoned at."""
        return HORIZON if self.seconds is None else min(self.seconds, HORIZON)

    def learn(self, elapsed: float) -> None:
        """Take a measurement in. One outlier (a thread that had to wait for its turn) counts little."""
        known = self.seconds
        if known is None:
            self.seconds = elapsed
        else:
            self.seconds = known + _WEIGHT * (min(elapsed, 5 * known + 0.000_2) - known)


class Pool:
    """The book-keeping of one pool: `slots` that run, what is held for them, and what messages for it cost of late."""

    __slots__ = ("cost", "held", "mean", "share", "slots")

    def __init__(self, slots: int, share: float) -> None:
        self.slots = slots
        self.share = share  #: of the latest messages that were for this pool
        self.held = 0
        self.cost = 0.0  #: of all that is held, in seconds of a slot
        self.mean = HORIZON

    def take(self, cost: float) -> None:
        self.held += 1
        self.cost += cost
        self.mean += _WEIGHT * (cost - self.mean)

    def give(self, cost: float) -> None:
        """What `take` took is gone again."""
        self.held -= 1
        self.cost = self.cost - cost if self.held else 0.0  # no rounding error outlives an empty pool

    def room(self) -> int:
        """How many more messages would probably begin within the horizon."""
        left = self.slots * HORIZON - self.cost
        return max(0, int(left / max(self.mean, 0.000_01) + 0.001))


class Load:
    """What a child holds in all its pools."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = pools

    def mix(self, counts: Sequence[int]) -> None:
        """A batch brought this many messages for each pool."""
        total = sum(counts)
        for pool, count in zip(self.pools, counts, strict=True):
            pool.share += _WEIGHT * (count / total - pool.share)

    def quick(self) -> bool:
        """Whether messages of late took no longer than a hand-over between threads is worth."""
        return all(pool.mean <= SLOW for pool in self.pools if pool.share > _RARE)

    def room(self, unsettled: int) -> int:
        """How many messages to ask for, now that `unsettled` ones are with us in any stage, ended ones included.

        What a queue holds next is not known, so the fullest of the pools that its messages go to decides. And what
        cannot be recorded as fast as it runs must not pile up: one batch runs, one is written, one is fetched.
        """
        used = [pool for pool in self.pools if pool.share > _RARE]
        if unsettled > sum(pool.slots for pool in used) + 2 * BATCH:
            return 0
        return min(BATCH, *(pool.room() for pool in used))
