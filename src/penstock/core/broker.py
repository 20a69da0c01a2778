"""The broker contract: where messages wait. It moves messages and knows nothing of tasks, records or time limits.

Every method that touches the server returns a Step (core.step). Implementations live in penstock.brokers, one file
each, and pass penstock.testing.conformance.broker whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from penstock.core.message import Delivery, Message
from penstock.core.step import Driver, Step


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One queue at one moment."""

    name: str
    ready: int  #: can be delivered now
    delayed: int  #: wait for their time
    claimed: int  #: are with workers, not settled
    paused: bool
    oldest: float | None = None  #: unix time at which the oldest ready message was published, where it is known


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What came of taking a task's messages out of the broker."""

    removed: int  #: messages that waited and are gone
    lease: str | None = None  #: the lease under which a message of the task is claimed; None if none is


class Consumer(ABC):
    """Takes messages from some queues under one lease. One consumer a child process, used from one event loop."""

    @abstractmethod
    async def fetch(self, limit: int) -> list[Delivery]:
        """Claim at most `limit` messages (and 4 MiB; a larger one is a batch of its own); wait until there is one.

        Order: higher priority step first, then first in first out; several queues get equal turns; paused queues and
        messages whose time has not come are passed over. Returns [] only after `stop`, or after `nudge`.
        Never cancel a fetch: a claim in flight would be lost until its lease ends; `stop` it.
        Raises Unavailable after a failed try; calling again tries again.
        """

    @abstractmethod
    def settle(self, deliveries: Sequence[Delivery]) -> Step[None]:
        """The messages are done with: forget them. A delivery that this lease no longer holds is passed over."""

    @abstractmethod
    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[None]:
        """Give messages back unrun, to their old place in the order, after `delay` seconds; not marked redelivered."""

    @abstractmethod
    def nudge(self) -> None:
        """Make a waiting fetch return [] soon, e.g. because its caller wants another limit. Callable from the loop."""

    @abstractmethod
    async def stop(self) -> None:
        """No more messages: a waiting fetch returns []; what was fetched can still be settled or handed back."""


class Broker(ABC):
    """Publishes, counts and manages; `consume` makes the part that workers use."""

    driver: Driver

    async def open(self) -> None:
        """Connect and prepare. Opening twice is fine."""
        await self.driver.open()

    async def close(self) -> None:
        """Let go of every resource. Closing twice is fine."""
        await self.driver.close()

    @abstractmethod
    def publish(self, messages: Sequence[Message]) -> Step[None]:
        """Put messages into their queues, durably confirmed; a `due` in the future delays, a past one does not.

        A queue comes to be with its first message. Raises MessageTooLarge where the server has a limit of its own.
        """

    @abstractmethod
    def consume(self, queues: Sequence[str], lease: str) -> Consumer:
        """A consumer of `queues`; every claim names `lease`. At least one queue."""

    @abstractmethod
    def release(self, leases: Sequence[str]) -> Step[list[str]]:
        """Make what is claimed under dead leases deliverable again, marked redelivered; return task ids."""

    @abstractmethod
    def holders(self) -> Step[list[str]]:
        """The leases that messages are claimed under now.

        For the sweep: a process that was frozen may claim once more after its lease was closed, and die.
        """

    @abstractmethod
    def withdraw(self, task_id: str) -> Step[Withdrawal]:
        """Remove the waiting messages of a task (delayed ones too); a claimed one stays and is reported."""

    @abstractmethod
    def depth(self, queues: Sequence[str] | None = None) -> Step[list[QueueDepth]]:
        """The queues that exist (or those of `queues` that do), by name; at most an index walk."""

    @abstractmethod
    def pause(self, queue: str, paused: bool) -> Step[None]:
        """Stop or resume deliveries of a queue for every consumer; durable; also before the queue exists."""

    @abstractmethod
    def purge(self, queue: str, limit: int = 1000) -> Step[list[str]]:
        """Remove at most `limit` waiting messages, delayed included, claimed not; return their task ids ("" for raw).

        Call again until it returns fewer than `limit`.
        """

    @abstractmethod
    def ping(self) -> Step[None]:
        """Answer if the server can take a message now (for a file: if it can be written).

        Raises Unavailable or StorageError.
        """
