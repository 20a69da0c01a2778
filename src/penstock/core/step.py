"""Steps: what a back end is asked to do, as a value that can be awaited alone or committed together with others.

Every method of a broker or a result-backend contract that touches the server returns a Step. `await step` runs it.
`await commit(a, b)` runs several in order; neighbours that share a driver (SQLite broker and SQLite results in one
file, say) go in ONE transaction or round trip, all or nothing. That is how a record and its message are written
together where they can be, and one after the other, in the stated order, where they cannot.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Generator, Sequence
from inspect import isawaitable
from itertools import groupby
from typing import Any, Generic, TypeVar

from penstock.core.checkup import Finding
from penstock.core.errors import ConfigurationError

T_co = TypeVar("T_co", covariant=True)
A = TypeVar("A")
B = TypeVar("B")


class Driver(ABC):
    """A connection to one server or file, shared by the broker and the result backend that live there."""

    #: Whether a step's `work` is a function of one argument, plain or asynchronous, that runs inside the transaction:
    #: then a second step can be made of the first one's result within the same transaction (`follow`).
    composes = False

    @abstractmethod
    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """Run `steps` in order, in one transaction or round trip; return their results.

        If one raises, none is applied (LeaseLost and TaskIdTaken included) and its error is raised.
        Calls that arrive while another is in flight are gathered into the next one (group commit); each stands
        or falls by itself. Raises Unavailable when the server cannot be reached, StorageError when it is unusable.
        """

    @abstractmethod
    async def open(self) -> None:
        """Connect and prepare (schema, scripts). Opening twice is fine."""

    def enlist(self, steps: Sequence[Step[Any]], connection: Any) -> Awaitable[None] | None:
        """Run steps in a transaction of somebody else, on a connection of theirs to this place.

        They and their wake-ups count once that transaction is committed, and never if it is not. To be awaited where
        the connection is asynchronous. Raises TaskIdTaken, and ConfigurationError where the connection leads elsewhere,
        or where the place knows no transactions that others could share.
        """
        del steps
        raise ConfigurationError(
            f"messages are not kept in the database of the {type(connection).__name__} that was given, so they cannot "
            "be part of its transaction; give on_commit=… instead, and they are sent after the commit"
        )

    async def examine(self) -> list[Finding]:
        """What `doctor` tells of the server or file: versions, durability, room. Secrets are left out."""
        return []

    @abstractmethod
    async def close(self) -> None:
        """Let go of every resource. Closing twice, or before opening, is fine."""


class Step(Generic[T_co]):
    """One piece of work for a driver. `work` is the driver's own kind of thing: for SQLite, a function."""

    __slots__ = ("driver", "plain", "wakes", "work")

    def __init__(self, driver: Driver, work: Any, wakes: str = "", plain: Callable[[], str] | None = None) -> None:
        self.driver = driver
        self.work = work
        self.plain = plain  #: the same as one statement without parameters, for connections of others (Driver.enlist)
        self.wakes = wakes  #: topics whose listeners are woken once the step is durable; "" for none

    def __await__(self) -> Generator[Any, None, T_co]:
        results = yield from self.driver.run((self,)).__await__()
        return results[0]  # type: ignore[no-any-return]


async def commit(*steps: Step[Any]) -> list[Any]:
    """Run `steps` in order, neighbours on one driver in one transaction; return all results in order."""
    results: list[Any] = []
    for driver, group in groupby(steps, key=lambda step: step.driver):
        results += await driver.run(tuple(group))
    return results


async def follow(first: Step[A], make: Callable[[A], Step[B]], driver: Driver) -> tuple[A, B]:
    """Run `first`, then the step on `driver` that `make` builds of its result.

    Both are in one transaction where they share a driver that composes; elsewhere a crash may come between them.
    """
    if first.driver is not driver or not driver.composes:
        found = await first
        return found, await make(found)

    def then(found: A) -> Step[B]:
        second = make(found)
        both.wakes = f"{first.wakes} {second.wakes}".strip()
        return second

    async def await_both(answer: Awaitable[A], connection: Any) -> tuple[A, B]:
        found = await answer
        return found, await then(found).work(connection)

    def work(connection: Any) -> Any:
        answer = first.work(connection)
        if isawaitable(answer):
            return await_both(answer, connection)
        return answer, then(answer).work(connection)

    both: Step[tuple[A, B]] = Step(driver, work, first.wakes)
    return await both
