"""What has come from the server and nobody was given yet: the highest level first, the sources of one level in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from penstock.brokers.rabbitmq.topology import STEPS, rotated
from penstock.core.consumer import BATCH_BYTES
from penstock.core.message import Delivery


@dataclass(frozen=True, slots=True)
class Source:
    """A queue of the server that messages are taken from."""

    name: str
    queue: str  #: whose messages they are
    step: int
    quorum: bool


class Shelf:
    """Deliveries by their sources, in the order of their coming."""

    def __init__(self) -> None:
        self.size = 0  #: bytes of the bodies
        self._count = 0
        self._lines: dict[int, dict[str, deque[Delivery]]] = {step: {} for step in (*STEPS, 0)}
        self._seen: set[str] = set()  # sources that had something at the last look, and of which none was taken since

    def __len__(self) -> int:
        return self._count

    def waiting(self, source: Source) -> int:
        """How many are there from one source."""
        return len(self._lines[source.step].get(source.name, ()))

    def put(self, source: Source, delivery: Delivery) -> None:
        """One has come."""
        line = self._lines[source.step].get(source.name)
        if line is None:
            line = self._lines[source.step][source.name] = deque()
        line.append(delivery)
        self._count += 1
        self.size += len(delivery.message.body)

    def take(self, limit: int, turn: int) -> list[Delivery]:
        """At most so many, and BATCH_BYTES; a larger one is alone. `turn` says who has the first turn in a level."""
        found: list[Delivery] = []
        size = 0
        for name, line in self._turns(turn):
            size += len(line[0].message.body)
            if found and (len(found) == limit or size > BATCH_BYTES):
                size -= len(line[0].message.body)
                break
            found.append(line.popleft())
            self._seen.discard(name)
        self._count -= len(found)
        self.size -= size
        return found

    def clear(self) -> list[Delivery]:
        """Everything; it is not here any more."""
        found = [delivery for _, line in self._all() for delivery in line]
        for _, line in self._all():
            line.clear()
        self._count = self.size = 0
        self._seen.clear()
        return found

    def stale(self) -> bool:
        """Whether of some source nothing was taken since the last look that was there already then; and look now."""
        stale = bool(self._seen)
        self._seen = {name for name, line in self._all() if line}
        return stale

    def _all(self) -> Iterator[tuple[str, deque[Delivery]]]:
        return ((name, line) for lines in self._lines.values() for name, line in lines.items())

    def _turns(self, turn: int) -> Iterator[tuple[str, deque[Delivery]]]:
        """Whose turn it is, as long as anybody has something."""
        for lines in self._lines.values():
            names = rotated([name for name, line in lines.items() if line], turn)
            while names:
                yield from ((name, lines[name]) for name in names)
                names = [name for name in names if lines[name]]
