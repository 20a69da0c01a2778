"""What RabbitMQ and the network answer, as errors of core. Pure."""

from __future__ import annotations

import re
from typing import Final

from penstock.core.errors import ConfigurationError, MessageTooLarge, PenstockError, StorageError, Unavailable
from penstock.drivers.amqp.address import Address
from penstock.drivers.amqp.channel import Broken
from penstock.drivers.amqp.connection import UNTRUSTED

ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
NOT_ALLOWED: Final = 530
#: what somebody has to see to; everything else passes by itself
_UNUSABLE: Final = frozenset({ACCESS_REFUSED, NOT_FOUND, LOCKED, PRECONDITION_FAILED, 503, 540})
#: a queue that is there, but not now: its node is away or starting (RabbitMQ's rabbit_amqqueue, "absent" queues)
_AWAY: Final = re.compile(
    "down or inaccessible|stopped by supervisor|crashed and failed to restart|timed? ?out|may be stopping"
)
_SIZE: Final = re.compile(r"message size (\d+) .*max(?:imum)? size:? (\d+)", re.DOTALL)


def refused(error: Broken, address: Address) -> PenstockError:
    """No connection could be made: nothing was sent."""
    if error.code == ACCESS_REFUSED:
        return ConfigurationError(f"{address.shown}: the login of {address.user!r} is refused: wrong user or password")
    if error.code == UNTRUSTED:
        return ConfigurationError(f"{address.shown}: {error.text}")
    if error.code == NOT_ALLOWED:
        if "not found" in error.text:
            return ConfigurationError(
                f"{address.shown}: there is no virtual host {address.vhost!r}; make it with: "
                f"rabbitmqctl add_vhost {address.vhost}"
            )
        return ConfigurationError(
            f"{address.shown}: {address.user!r} may not use the virtual host {address.vhost!r}; allow it with: "
            f"rabbitmqctl set_permissions -p {address.vhost} {address.user} '.*' '.*' '.*'"
        )
    return Unavailable(f"{address.shown} cannot be reached: {error.text}", unsent=True)


def translated(error: Broken, address: Address) -> PenstockError:
    """A call failed after it may have reached the server."""
    if error.code in _UNUSABLE and not (error.code == NOT_FOUND and _AWAY.search(error.text)):
        return StorageError(f"{address.shown}: {error.text}")
    return Unavailable(f"{address.shown}: {error.text}")


def too_large(error: Broken) -> MessageTooLarge | None:
    """The server's limit, where a message was over it."""
    found = _SIZE.search(error.text) if error.code == PRECONDITION_FAILED else None
    return MessageTooLarge(int(found[1]), int(found[2])) if found else None
