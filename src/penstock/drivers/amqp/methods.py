"""The methods of AMQP 0-9-1 that are used here, by their class and number, and how their arguments are written."""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from typing import Any, Final, Protocol

from penstock.drivers.amqp import frames

Ids = tuple[int, int]

START: Final[Ids] = (10, 10)
START_OK: Final[Ids] = (10, 11)
TUNE: Final[Ids] = (10, 30)
TUNE_OK: Final[Ids] = (10, 31)
OPEN: Final[Ids] = (10, 40)
OPEN_OK: Final[Ids] = (10, 41)
CLOSE: Final[Ids] = (10, 50)
CLOSE_OK: Final[Ids] = (10, 51)
BLOCKED: Final[Ids] = (10, 60)
UNBLOCKED: Final[Ids] = (10, 61)
CHANNEL_OPEN: Final[Ids] = (20, 10)
CHANNEL_CLOSE: Final[Ids] = (20, 40)
CHANNEL_CLOSE_OK: Final[Ids] = (20, 41)
EXCHANGE_DECLARE: Final[Ids] = (40, 10)
EXCHANGE_BIND: Final[Ids] = (40, 30)
QUEUE_DECLARE: Final[Ids] = (50, 10)
QUEUE_DECLARE_OK: Final[Ids] = (50, 11)
QUEUE_BIND: Final[Ids] = (50, 20)
QUEUE_PURGE: Final[Ids] = (50, 30)
QUEUE_PURGE_OK: Final[Ids] = (50, 31)
QUEUE_DELETE: Final[Ids] = (50, 40)
QOS: Final[Ids] = (60, 10)
CONSUME: Final[Ids] = (60, 20)
CANCEL: Final[Ids] = (60, 30)
PUBLISH: Final[Ids] = (60, 40)
RETURN: Final[Ids] = (60, 50)
DELIVER: Final[Ids] = (60, 60)
GET: Final[Ids] = (60, 70)
GET_OK: Final[Ids] = (60, 71)
GET_EMPTY: Final[Ids] = (60, 72)
ACK: Final[Ids] = (60, 80)
NACK: Final[Ids] = (60, 120)
CONFIRM_SELECT: Final[Ids] = (85, 10)

_COUNT = Struct("!I")
_RESERVED: Final = b"\x00\x00"
_TAG = Struct("!QB")
_QOS = Struct("!IHB")
_NOTHING = b"\x00\x00\x00\x00"  # an empty table


def queue_declare(
    queue: str,
    *,
    passive: bool = False,
    durable: bool = True,
    exclusive: bool = False,
    auto_delete: bool = False,
    arguments: Mapping[str, Any] | None = None,
) -> bytes:
    bits = passive | durable << 1 | exclusive << 2 | auto_delete << 3
    return _RESERVED + frames.name(queue) + bytes((bits,)) + frames.pack_table(arguments or {})


def message_count(answer: bytes) -> int:
    """The number of ready messages in the answer to a declaration."""
    count: int = _COUNT.unpack_from(answer, frames.text(answer, 0)[1])[0]
    return count


def exchange_declare(exchange: str, kind: str, *, durable: bool = True) -> bytes:
    return _RESERVED + frames.name(exchange) + frames.name(kind) + bytes((durable << 1,)) + _NOTHING


def bind(target: str, exchange: str, key: str) -> bytes:
    """Of a queue, or of an exchange, to an exchange."""
    return _RESERVED + frames.name(target) + frames.name(exchange) + frames.name(key) + b"\x00" + _NOTHING


def queue_purge(queue: str) -> bytes:
    return _RESERVED + frames.name(queue) + b"\x00"


def queue_delete(queue: str) -> bytes:
    return _RESERVED + frames.name(queue) + b"\x00"


def qos(count: int) -> bytes:
    """How many unacknowledged messages each consumer that is made from now on may have; 0: no limit."""
    return _QOS.pack(0, count, 0)


def consume(queue: str, tag: str, *, no_ack: bool = False, exclusive: bool = False) -> bytes:
    bits = no_ack << 1 | exclusive << 2
    return _RESERVED + frames.name(queue) + frames.name(tag) + bytes((bits,)) + _NOTHING


def cancel(tag: str) -> bytes:
    return frames.name(tag) + b"\x00"


def publish(exchange: str, key: str, *, mandatory: bool = True) -> bytes:
    return _RESERVED + frames.name(exchange) + frames.name(key) + bytes((mandatory,))


def get(queue: str) -> bytes:
    return _RESERVED + frames.name(queue) + b"\x00"


def ack(tag: int, *, multiple: bool = False) -> bytes:
    return _TAG.pack(tag, multiple)


class Answering(Protocol):
    """`ack` or `nack`."""

    def __call__(self, tag: int, *, multiple: bool = False) -> bytes: ...


def nack(tag: int, *, multiple: bool = False) -> bytes:
    """Give back (requeue)."""
    return _TAG.pack(tag, multiple | 2)
