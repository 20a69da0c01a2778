"""One channel: requests whose answers come in order, publishes with their confirmations, and messages that arrive."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Protocol

from penstock.drivers.amqp import frames, methods

_TAG = Struct("!QB")
_CODE = Struct("!H")
_ANNOUNCEMENTS = frozenset({methods.GET_OK, methods.DELIVER, methods.RETURN})  # a message follows
_CONFIRMATIONS = frozenset({methods.ACK, methods.NACK})


class Broken(Exception):
    """The channel, or its connection, is closed. `code` is AMQP's (404, 406 …); 0: the connection was lost."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(f"{code} {text}" if code else text)
        self.code = code
        self.text = text


@dataclass(slots=True)
class Arrived:
    """A message that came from the server."""

    tag: int
    redelivered: bool
    consumer: str = ""  #: consumer tag; "" for one that was asked for
    key: str = ""  #: the routing key of one that was returned
    properties: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)
    body: bytes = b""


class _Batch:
    """Messages published together; `done` is set when the last is confirmed."""

    __slots__ = ("done", "keys", "left", "refused", "returned")

    def __init__(self, done: asyncio.Future[Any], keys: set[str], left: int) -> None:
        self.done = done
        self.keys = keys  #: the routing keys among them
        self.left = left
        self.refused = False  #: the server could not take one of them
        self.returned: set[str] = set()  #: keys that led nowhere

    def end(self) -> None:
        if self.done.done():
            return
        if self.refused:
            self.done.set_exception(Broken("the server refused a message", 311))
        else:
            self.done.set_result(self.returned)


class _Answers:
    """A future for `left` answers in a row: their messages for gets, the arguments of the last one otherwise."""

    __slots__ = ("done", "found", "left")

    def __init__(self, done: asyncio.Future[Any], left: int) -> None:
        self.done = done
        self.left = left
        self.found: list[Arrived] = []

    def came(self, value: Any) -> bool:
        self.left -= 1
        if self.left == 0 and not self.done.done():
            self.done.set_result(value)
        return self.left == 0


class Line(Protocol):
    """What a channel needs of its connection."""

    loop: asyncio.AbstractEventLoop
    frame_max: int
    channels: dict[int, Channel]

    def write(self, data: bytes) -> None:
        """Send, soon."""


class Channel:
    """One channel of a connection. Made by `Connection.channel`."""

    def __init__(self, connection: Line, number: int) -> None:
        self.connection = connection
        self.number = number
        self.broken: Broken | None = None
        self.deliver: Callable[[Arrived], None] = lambda _: None  #: called for each message that a consumer gets
        self.cancelled: Callable[[str], None] = lambda _: None  #: the server ended a consumer: its queue is gone
        self.closed: Callable[[], None] = lambda: None
        self._answers: deque[_Answers] = deque()
        self._published = 0
        self._unconfirmed: dict[int, _Batch] = {}
        self._arriving: Arrived | None = None  # its header and body are still to come
        self._takes: Callable[[Arrived], None] = self._got
        self._missing = 0
        self._pieces: list[bytes] = []

    # ---------------------------------------------------------------------------------------------------------- asking

    def call(self, ids: methods.Ids, arguments: bytes = b"") -> asyncio.Future[bytes]:
        """Ask; the future brings the arguments of the answer. Raises Broken."""
        done = self._expect(1)
        self.send(ids, arguments)
        return done

    def get(self, queues: Sequence[tuple[str, int]]) -> asyncio.Future[list[Arrived]]:
        """Ask for so many messages of each queue, in this order; it brings those that were there."""
        count = sum(number for _, number in queues)
        done = self._expect(count)
        for queue, number in queues:
            self.connection.write(frames.method(self.number, methods.GET, methods.get(queue)) * number)
        return done

    def send(self, ids: methods.Ids, arguments: bytes = b"") -> None:
        """Tell; there is no answer. Raises Broken."""
        self._check()
        self.connection.write(frames.method(self.number, ids, arguments))

    def publish(self, messages: Sequence[tuple[bytes, str, bytes, bytes]]) -> asyncio.Future[set[str]]:
        """Publish; the future brings the routing keys that led nowhere, once all are confirmed.

        Each is (arguments of basic.publish, routing key, packed properties, body).
        """
        self._check()
        done: asyncio.Future[set[str]] = self.connection.loop.create_future()
        batch = _Batch(done, {key for _, key, _, _ in messages}, len(messages))
        number, frame_max, unconfirmed = self.number, self.connection.frame_max, self._unconfirmed
        parts = []
        for arguments, _, properties, body in messages:
            self._published += 1
            unconfirmed[self._published] = batch
            parts.append(frames.method(number, methods.PUBLISH, arguments))
            parts.append(frames.content(number, properties, body, frame_max))
        self.connection.write(b"".join(parts))
        return done

    async def close(self) -> None:
        """Close it. Closing twice is fine."""
        if self.broken is None:
            with contextlib.suppress(Broken):
                await self.call(methods.CHANNEL_CLOSE, b"\x00\xc8\x00\x00\x00\x00\x00")
            self.fail(Broken("closed"))

    def discard(self) -> None:
        """Close it without waiting for the server's word. What is held on it goes back to its queue."""
        if self.broken is None:
            self.connection.write(frames.method(self.number, methods.CHANNEL_CLOSE, b"\x00\xc8\x00\x00\x00\x00\x00"))
            self.fail(Broken("closed"))

    def fail(self, error: Broken) -> None:
        """It is gone: whoever waits here hears of it."""
        if self.broken is not None:
            return
        self.broken = error
        waiting = [answers.done for answers in self._answers]
        waiting += [batch.done for batch in dict.fromkeys(self._unconfirmed.values())]
        self._answers.clear()
        self._unconfirmed.clear()
        for done in waiting:
            if not done.done():
                done.set_exception(error)
                done.exception()  # who gave up waiting need not hear
        self.connection.channels.pop(self.number, None)
        self.closed()

    def _expect(self, count: int) -> asyncio.Future[Any]:
        self._check()
        done: asyncio.Future[Any] = self.connection.loop.create_future()
        self._answers.append(_Answers(done, count))
        return done

    def _check(self) -> None:
        if self.broken is not None:
            raise Broken(self.broken.text, self.broken.code)

    # --------------------------------------------------------------------------------------------------------- hearing

    def heard(self, ids: methods.Ids, payload: bytes) -> None:
        """A method came; its arguments begin at byte 4."""
        if ids in _ANNOUNCEMENTS:
            self._announced(ids, payload)
        elif ids in _CONFIRMATIONS:
            tag, bits = _TAG.unpack_from(payload, 4)
            self._confirmed(tag, bool(bits & 1), ids == methods.NACK)
        elif ids == methods.GET_EMPTY:
            self._answered(None)
        elif ids == methods.CHANNEL_CLOSE:
            (code,) = _CODE.unpack_from(payload, 4)
            self.connection.write(frames.method(self.number, methods.CHANNEL_CLOSE_OK))
            self.fail(Broken(frames.text(payload, 6)[0], code))
        elif ids == methods.CANCEL:
            self.cancelled(frames.text(payload, 4)[0])
        else:
            self._answered(payload[4:])

    def header(self, payload: bytes) -> None:
        """The properties of the message that arrives."""
        arriving = self._arriving
        if arriving is None:
            raise frames.Malformed("a content header without a method")
        self._missing, arriving.properties, arriving.headers = frames.unpack_properties(payload)
        if self._missing == 0:
            self._arriving = None
            self._takes(arriving)

    def body(self, payload: bytes) -> None:
        """A piece of the body of the message that arrives."""
        arriving = self._arriving
        if arriving is None:
            raise frames.Malformed("a body without a header")
        self._missing -= len(payload)
        if self._missing > 0:
            self._pieces.append(payload)
            return
        arriving.body = b"".join((*self._pieces, payload)) if self._pieces else payload
        self._pieces.clear()
        self._arriving = None
        self._takes(arriving)

    def _announced(self, ids: methods.Ids, payload: bytes) -> None:
        if ids == methods.RETURN:
            _, at = frames.text(payload, frames.text(payload, 6)[1])
            self._arriving, self._takes = Arrived(0, False, key=frames.text(payload, at)[0]), self._returned
        elif ids == methods.DELIVER:
            consumer, at = frames.text(payload, 4)
            tag, again = _TAG.unpack_from(payload, at)
            self._arriving, self._takes = Arrived(tag, bool(again), consumer), self.deliver
        else:
            tag, again = _TAG.unpack_from(payload, 4)
            self._arriving, self._takes = Arrived(tag, bool(again)), self._got

    def _got(self, arrived: Arrived) -> None:
        self._answered(arrived)

    def _returned(self, arrived: Arrived) -> None:
        for batch in self._unconfirmed.values():
            if arrived.key in batch.keys:
                batch.returned.add(arrived.key)

    def _answered(self, value: Any) -> None:
        if not self._answers:
            raise frames.Malformed("an answer that nobody asked for")
        answers = self._answers[0]
        if isinstance(value, Arrived):
            answers.found.append(value)
        if value is None or isinstance(value, Arrived):
            value = answers.found
        if answers.came(value):
            self._answers.popleft()

    def _confirmed(self, tag: int, multiple: bool, refused: bool) -> None:
        unconfirmed = self._unconfirmed
        tags = [each for each in unconfirmed if each <= tag] if multiple else [tag]
        for each in tags:
            batch = unconfirmed.pop(each, None)
            if batch is None:
                continue
            batch.refused = batch.refused or refused
            batch.left -= 1
            if batch.left == 0:
                batch.end()
