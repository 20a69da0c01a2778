"""Which tasks: the filter that stands in the address of a page, so that it can be shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from penstock.core.states import ALL

#: Fields of the filter, as the API calls them.
MANY = ("status", "task", "queue", "worker")
ONCE = ("q", "since", "until")
STATES = [
    state for state in ("PENDING", "RECEIVED", "STARTED", "RETRY", "SUCCESS", "FAILURE", "REVOKED") if state in ALL
]

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class TaskFilter:
    """What a query says about which tasks; fields left empty in the form say nothing."""

    pairs: Pairs

    @classmethod
    def of(cls, query: Sequence[tuple[str, str]]) -> TaskFilter:
        return cls([(name, value.strip()) for name, value in query if name in {*MANY, *ONCE} and value.strip()])

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.pairs if key == name]

    def first(self, name: str) -> str:
        return next(iter(self.values(name)), "")

    def but(self, **changes: Sequence[str]) -> TaskFilter:
        """The same with other values for some fields."""
        kept = [pair for pair in self.pairs if pair[0] not in changes]
        return TaskFilter(kept + [(name, value) for name, values in changes.items() for value in values])

    def upto(self, now: float) -> TaskFilter:
        """The same, without what is created from `now` on."""
        if self.first("until"):
            return self
        return self.but(until=[moment(now)])


def moment(unix: float) -> str:
    """A time as the API reads it."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
