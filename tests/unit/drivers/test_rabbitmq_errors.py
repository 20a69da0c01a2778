"""What RabbitMQ answers: what passes by itself, and what somebody has to see to."""

from __future__ import annotations

import pytest

from penstock.core.errors import PenstockError, StorageError, Unavailable
from penstock.drivers.amqp.address import parse
from penstock.drivers.amqp.channel import Broken
from penstock.drivers.rabbitmq.errors import translated

QUEUE = "queue 'q' in vhost '/'"


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        (0, "the connection was lost", Unavailable),
        (320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", Unavailable),
        (541, "INTERNAL_ERROR", Unavailable),
        (404, f"NOT_FOUND - home node 'rabbit@one' of durable {QUEUE} is down or inaccessible", Unavailable),
        (404, f"NOT_FOUND - {QUEUE} process is stopped by supervisor", Unavailable),
        (404, f"NOT_FOUND - {QUEUE} has crashed and failed to restart", Unavailable),
        (404, f"NOT_FOUND - failed to perform operation on {QUEUE} due to timeout", Unavailable),
        (404, f"NOT_FOUND - no {QUEUE}", StorageError),
        (403, "ACCESS_REFUSED - access to exchange 'x' refused", StorageError),
        (406, "PRECONDITION_FAILED - inequivalent arg 'durable'", StorageError),
    ],
)
def test_only_what_does_not_pass_by_itself_is_for_somebody_to_see_to(
    code: int, text: str, kind: type[PenstockError]
) -> None:
    assert type(translated(Broken(text, code), parse("amqp://somewhere//"))) is kind
