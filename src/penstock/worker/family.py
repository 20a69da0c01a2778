"""The supervisor's process table: who lives, what each is for, who has a seat. Values and look-ups; no decisions."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from penstock.worker.links import Link
from penstock.worker.slots import Seat


@dataclass(slots=True, eq=False, kw_only=True)
class Member:
    """A process of this worker. Times are monotonic."""

    pid: int
    link: Link
    seat: int = -1  #: index; -1 for the keeper, which has none
    leases: list[str] = field(default_factory=list)  #: of a child, the newest last
    ready: bool = False
    retiring: bool = False  #: ends by itself; another takes its place already
    clean: bool = False  #: has said good-bye: nothing that it began is left
    spared: bool = False  #: it is us who killed it: its tasks are not charged
    judged: dict[str, Any] = field(default_factory=dict)  #: tasks it was killed for → the keeper's verdict
    kill_at: float = math.inf

    @property
    def is_child(self) -> bool:
        """It runs tasks."""
        return self.seat >= 0


@dataclass(slots=True, kw_only=True)
class Death:
    """A child that is gone, as the keeper needs to know it."""

    pid: int
    leases: list[str]
    how: str  #: for people: "SIGKILL", "exit code 3"
    charge: dict[str, int]  #: tasks that had begun and are held responsible → number of that run
    judged: dict[str, Any]  #: tasks it was killed for → the keeper's verdict

    def note(self) -> dict[str, Any]:
        """As it travels."""
        return asdict(self)


class Family:
    """The living, by pid, and the free seats."""

    def __init__(self, seats: list[Seat]) -> None:
        self.seats = seats
        self.members: dict[int, Member] = {}

    @property
    def keeper(self) -> Member | None:
        return next((member for member in self.members.values() if not member.is_child), None)

    @property
    def children(self) -> list[Member]:
        """All of them, the retiring included."""
        return [member for member in self.members.values() if member.is_child]

    @property
    def active(self) -> list[Member]:
        """Children that take tasks, or are about to."""
        return [member for member in self.children if not member.retiring]

    def free_seat(self) -> int | None:
        """A seat that nobody has."""
        taken = {member.seat for member in self.members.values()}
        return next((index for index in range(len(self.seats)) if index not in taken), None)

    def holder(self, lease: str) -> Member | None:
        """The child that has this lease."""
        return next((member for member in self.children if lease in member.leases), None)
