"""The broker contract: where messages wait. It moves messages and knows nothing of tasks, records or time limits.

Every method that touches the server returns a Step (core.step). Implementations live in penstock.brokers, one file
each, and pass penstock.testing.conformance.broker whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from penstock.core.errors import InvalidOptions
from penstock.core.message import Delivery, Message
from penstock.core.step import Driver, Step

NO_EXCHANGES: Final = "only RabbitMQ has exchanges; here messages go to queues"


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """One queue at one moment."""

    name: str
    ready: int  #: can be delivered now; where messages cannot be found, those of cancelled tasks are among them
    delayed: int | None  #: wait for their time; None: the server cannot tell, the records can (operations.depths)
    claimed: int | None  #: are with workers, not settled; None: likewise
    paused: bool
    #: unix time at which the oldest ready message was published; None: none is ready, or messages cannot be found
    oldest: float | None = None
    #: those of the ready ones that wait where only Penstock workers look, by the place's name on the server
    lanes: Mapping[str, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What came of taking a task's messages out of the broker."""

    removed: int  #: messages that waited and are gone
    lease: str | None = None  #: the lease under which a message of the task is claimed; None if none is
    sure: bool = True  #: False: the server cannot be searched, so its message may wait on, or be with some worker


@dataclass(frozen=True, slots=True)
class Declaration:
    """A queue that is to be there before its first message comes. What goes beyond its name is AMQP's alone."""

    queue: str
    exchange: str = ""  #: messages that are published there come to it, too …
    keys: tuple[str, ...] = ("",)  #: … if they have one of these routing keys
    exclusive: bool = False  #: for one connection alone, and gone with it

    def plain(self) -> str:
        """The queue's name, for servers that have nothing but queues. Raises InvalidOptions for what they lack."""
        if self.exchange:
            raise InvalidOptions({"exchange": NO_EXCHANGES})
        if self.exclusive:
            raise InvalidOptions({"exclusive": "only RabbitMQ has queues of one consumer alone; name a queue"})
        return self.queue


class Consumer(ABC):
    """Takes messages from some queues under one lease. One consumer a child process, used from one event loop."""

    #: False: the server takes back what is not settled for long, whatever becomes of the lease (RabbitMQ's consumer
    #: timeout). Then a long run is parked: its message is settled once its record stands for it (Records.park).
    lasting: bool = True

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

    def post(self, exchange: str, messages: Sequence[Message]) -> Step[None]:
        """Publish to an exchange, confirmed; the queue that a message names is its routing key there.

        Raises InvalidOptions where there are no exchanges, NotFound if one of them reaches no queue, MessageTooLarge.
        """
        del exchange, messages
        raise InvalidOptions({"exchange": NO_EXCHANGES})

    @abstractmethod
    def declare(self, declarations: Sequence[Declaration]) -> Step[None]:
        """Have queues before their first messages; those that exist stay as they are.

        A consumer of this broker has them again where they turn out to be gone. Raises InvalidOptions for what this
        kind of server does not have.
        """

    @abstractmethod
    def consume(self, queues: Sequence[str], lease: str) -> Consumer:
        """A consumer of `queues`; every claim names `lease`. At least one queue."""

    @abstractmethod
    def release(self, leases: Sequence[str]) -> Step[list[str]]:
        """Make what is claimed under dead leases deliverable again, marked redelivered; return task ids.

        A server that takes back by itself what the connection of a dead process held (RabbitMQ) has done so before,
        and only the ids are told of what was given back by this call.
        """

    def keep(self, leases: Sequence[str]) -> Step[None] | None:
        """What has to be written now and then lest others take what is claimed under live leases; None: nothing.

        Asked for with every renewal, by a process that no task can hold up.
        """
        del leases
        return None

    @abstractmethod
    def holders(self) -> Step[list[str]]:
        """The leases that messages are claimed under now, as far as their claims outlive their process.

        For the sweep: a process that was frozen may claim once more after its lease was closed, and die.
        """

    @abstractmethod
    def withdraw(self, task_id: str) -> Step[Withdrawal]:
        """Remove the waiting messages of a task (delayed ones too); a claimed one stays and is reported.

        Where messages cannot be found by their task (RabbitMQ) nothing is removed, and the answer says so: not `sure`.
        The record's mark is what keeps such a message from running.
        """

    @abstractmethod
    def depth(self, queues: Sequence[str] | None = None) -> Step[list[QueueDepth]]:
        """The queues that exist (or those of `queues` that do), by name; at most an index walk.

        What the server does not count by queue is None (RabbitMQ: delayed and claimed).
        """

    @abstractmethod
    def pause(self, queue: str, paused: bool) -> Step[None]:
        """Stop or resume deliveries of a queue for every consumer; durable; also before the queue exists."""

    @abstractmethod
    def purge(self, queue: str, limit: int = 1000) -> Step[list[str]]:
        """Remove at most `limit` waiting messages, delayed included, claimed not; return their task ids ("" for raw).

        Call again until it returns fewer than `limit`. Delayed ones that the server cannot find (RabbitMQ) stay, and
        are dropped when they are due, because their records have ended by then (operations.purge).
        """

    def reply(self, answers: Sequence[Message]) -> Step[None] | None:
        """Answer those who wait at their own queues (`reply_to`); who is gone is passed over.

        None: nobody can wait like that here, because only Penstock's clients use this kind of server.
        """
        del answers
        return None

    @abstractmethod
    def ping(self) -> Step[None]:
        """Answer if the server can take a message now (for a file: if it can be written).

        Raises Unavailable or StorageError.
        """
