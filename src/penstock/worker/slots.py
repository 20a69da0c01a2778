"""What a child is doing this very moment, in memory that its parent shares: readable even after SIGKILL.

The supervisor makes one anonymous mapping before it forks and gives each child a seat in it: a few counters, and a slot
for every task that can run at once. A child writes a slot before a run and clears it after; nobody else writes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from mmap import mmap
from struct import Struct

ID_BYTES = 1020  #: of a task id (255 characters in UTF-8); a longer foreign one is cut: its run is seen but not charged

# last successful fetch, last tick of the loop, last renewal of the lease (all monotonic), processed, resident bytes;
# then what makes it doubtful whose a printed line is: when a run last joined others, and when one last ended with
# something unread in descriptor 1, and 2
_COUNTERS = Struct("=dddQQddd")
_JOINED, _BLURRED = 40, 48
_RUN = Struct(f"=ddHHHH{ID_BYTES}sB")  # started (unix), deadline (monotonic), deliveries, attempt, task, id's length …
_MOMENT, _NUMBER = Struct("=d"), Struct("=Q")
_STATE = _RUN.size - 1  # the last byte: a run that was being written when the process died counts as not begun

_FREE, _RUNNING, _JUDGED = 0, 1, 2
_MOST = 65_535  # that an H holds


@dataclass(frozen=True, slots=True)
class Run:
    """One task in progress, as its child wrote it down."""

    task_id: str
    deliveries: int  #: the number of this run: 1 for the first
    task: int  #: index of its name among the app's sorted task names
    started_at: float  #: unix seconds
    deadline: float  #: monotonic seconds of its hard limit; inf without one
    judged: bool  #: its ending is recorded already; only the code has not come back yet
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Counters:
    """How a child fares. Times are monotonic seconds (one clock for all processes of a machine)."""

    fetched: float
    ticked: float
    renewed: float  #: 0.0 while there is no lease
    processed: int
    resident: int  #: bytes of memory, as last measured


class Seat:
    """One child's part of the shared memory."""

    def __init__(self, memory: mmap, offset: int, runs: int) -> None:
        self._memory = memory
        self._offset = offset
        self._runs = [offset + _COUNTERS.size + index * _RUN.size for index in range(runs)]
        self.free = list(range(runs - 1, -1, -1))  #: slots that nothing runs in; the child's own book-keeping

    def begin(
        self,
        task_id: str,
        deliveries: int,
        task: int,
        started_at: float,
        deadline: float = math.inf,
        *,
        attempt: int = 1,
    ) -> int:
        """Note that a run begins; return its slot."""
        slot = self.free.pop()
        joins = not self.alone
        name = task_id.encode("utf-8", "replace")
        count, attempt, length = min(deliveries, _MOST), min(attempt, _MOST), min(len(name), _MOST)
        _RUN.pack_into(
            self._memory, self._runs[slot], started_at, deadline, count, attempt, task, length, name, _RUNNING
        )
        if joins:
            _MOMENT.pack_into(self._memory, self._offset + _JOINED, started_at)
        return slot

    @property
    def alone(self) -> bool:
        """One run and no other is in progress: for the child itself to ask."""
        return len(self._runs) - len(self.free) == 1

    def end(self, slot: int) -> None:
        """Note that the run in `slot` is over."""
        self._memory[self._runs[slot] + _STATE] = _FREE
        self.free.append(slot)

    def blur(self, descriptor: int, now: float) -> None:
        """Note, before the end of a run, that what is unread in a descriptor (0: stdout, 1: stderr) may be its."""
        _MOMENT.pack_into(self._memory, self._offset + _BLURRED + 8 * descriptor, now)

    def doubts(self, descriptor: int) -> tuple[float, float]:
        """When a run last joined others, and when one last blurred the descriptor: to see whether it happened since."""
        (joined,) = _MOMENT.unpack_from(self._memory, self._offset + _JOINED)
        (blurred,) = _MOMENT.unpack_from(self._memory, self._offset + _BLURRED + 8 * descriptor)
        return joined, blurred

    def judge(self, slot: int) -> None:
        """Note that the run's ending is recorded, although its code goes on."""
        self._memory[self._runs[slot] + _STATE] = _JUDGED
        if slot in self.free:  # its thread was quicker
            self._memory[self._runs[slot] + _STATE] = _FREE

    def fetched(self, now: float) -> None:
        """A fetch worked, or is not wanted and the loop well."""
        _MOMENT.pack_into(self._memory, self._offset, now)

    def ticked(self, now: float) -> None:
        """The loop turns."""
        _MOMENT.pack_into(self._memory, self._offset + 8, now)

    def renewed(self, now: float) -> None:
        """The lease was prolonged, not before `now`."""
        _MOMENT.pack_into(self._memory, self._offset + 16, now)

    def processed(self, total: int) -> None:
        """So many runs have come back."""
        _NUMBER.pack_into(self._memory, self._offset + 24, total)

    def resident(self, size: int) -> None:
        """So many bytes of memory are in use."""
        _NUMBER.pack_into(self._memory, self._offset + 32, size)

    def clear(self, now: float) -> None:
        """Make ready for a new child."""
        for place in self._runs:
            self._memory[place + _STATE] = _FREE
        _COUNTERS.pack_into(self._memory, self._offset, now, now, 0.0, 0, 0, 0.0, 0.0, 0.0)

    def counters(self) -> Counters:
        return Counters(*_COUNTERS.unpack_from(self._memory, self._offset)[:5])

    def running(self) -> list[Run]:
        """The runs in progress, judged ones included."""
        return [self._read(place) for place in self._runs if self._memory[place + _STATE] != _FREE]

    def _read(self, place: int) -> Run:
        started, deadline, deliveries, attempt, task, length, name, state = _RUN.unpack_from(self._memory, place)
        task_id = name[:length].decode("utf-8", "replace")
        return Run(task_id, deliveries, task, started, deadline, judged=state == _JUDGED, attempt=attempt)


def seats(count: int, runs: int) -> list[Seat]:
    """Memory for `count` children with at most `runs` tasks at once each, shared with all that are forked from here."""
    size = _COUNTERS.size + runs * _RUN.size
    memory = mmap(-1, count * size)
    return [Seat(memory, index * size, runs) for index in range(count)]
