"""The rate limit of each API key: so many requests in a period, in any rhythm (the generic cell rate algorithm).

A key's whole state is one number, the time at which its debt is paid. The numbers lie in memory that the processes
of one server share, so that the limit is the server's and not each process's. Two processes that write at the same
instant may let one request too many pass; a lock for every request would cost more than that is worth.
"""

from __future__ import annotations

import math
import mmap
import time
from collections.abc import Callable

from penstock.api import problems
from penstock.api.problems import Headers, Problem, retry_after
from penstock.core.access import Rate


class Meter:
    """Counts the requests of each key. Made before the processes fork, it is shared by them."""

    def __init__(self, rate: Rate, keys: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.clock = clock
        self._paid = memoryview(mmap.mmap(-1, 8 * (keys + 1))).cast("d")

    def take(self, number: int) -> Headers:
        """Count one request of key `number`; return the headers that tell where it stands. Raises a Problem (429)."""
        now, rate = self.clock(), self.rate
        each = rate.period / rate.count
        paid = max(self._paid[number], now) + each
        over = paid - now - rate.period
        if over > 1e-9:
            headers = self._headers(0, paid - each - now)
            detail = f"more than {rate.count} requests in {rate.period:g} s"
            raise Problem(problems.TOO_MANY_REQUESTS, detail, headers=(*headers, *retry_after(over)))
        self._paid[number] = paid
        return self._headers(int(-over / each + 1e-9), paid - now)

    def _headers(self, left: int, reset: float) -> Headers:
        """RateLimit and RateLimit-Policy as the IETF draft has them, and the three headers that clients in use read."""
        count, period, seconds = self.rate.count, int(self.rate.period), math.ceil(reset)
        return (
            (b"ratelimit-policy", b'"key";q=%d;w=%d' % (count, period)),
            (b"ratelimit", b'"key";r=%d;t=%d' % (left, seconds)),
            (b"ratelimit-limit", b"%d" % count),
            (b"ratelimit-remaining", b"%d" % left),
            (b"ratelimit-reset", b"%d" % seconds),
        )
