"""How many requests came, how they were answered, and how long that took, over all processes of a server.

Each process counts in its own row of memory that was shared when they were forked, so nobody has to lock; the process
that replaces another one counts on in its row. Whichever process is asked for the metrics adds the rows up.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence

from penstock.api.route import Route
from penstock.core.exposition import Family

STATUSES = (200, 202, 204, 307, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 503, 504)
_COLUMN = {status: column for column, status in enumerate(STATUSES)}
WIDTH = len(STATUSES) + 1  # and the seconds

NO_ROUTE = -1  # the last line of a row: no path of ours, or a method that it does not have


class Tally:
    """Counts by route and status. Made before the processes fork."""

    def __init__(self, routes: Sequence[Route], processes: int = 1) -> None:
        self.routes = routes
        self.processes = processes
        self._row = (len(routes) + 1) * WIDTH
        self._numbers = memoryview(mmap.mmap(-1, 8 * self._row * processes)).cast("d")

    def count(self, process: int, route: int, status: int, seconds: float) -> None:
        """Note one answer; `seconds` until it began."""
        start = process * self._row + (route % (len(self.routes) + 1)) * WIDTH
        column = _COLUMN.get(status)
        if column is not None:
            self._numbers[start + column] += 1.0
            self._numbers[start + WIDTH - 1] += seconds

    def families(self) -> list[Family]:
        """The counts as metrics; what never happened is left out."""
        requests = Family("penstock_api_requests_total", "counter", "Requests answered, by route and status")
        seconds = Family("penstock_api_request_seconds_total", "counter", "Seconds until answers began, by route")
        for route, (method, path) in enumerate(self._names()):
            counts = [self._sum(route, column) for column in range(WIDTH)]
            for status, count in zip(STATUSES, counts, strict=False):
                if count:
                    requests.add(count, method=method, path=path, status=str(status))
            if any(counts):
                seconds.add(counts[-1], method=method, path=path)
        return [requests, seconds]

    def _names(self) -> Iterator[tuple[str, str]]:
        yield from ((route.method, route.path) for route in self.routes)
        yield "", ""

    def _sum(self, route: int, column: int) -> float:
        return sum(self._numbers[row * self._row + route * WIDTH + column] for row in range(self.processes))
