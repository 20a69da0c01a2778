"""Feeding a raw message to its program: body on STDIN, properties and headers in the environment, fate by exit code."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from penstock.core.errors import ProgramError, Reject, TimeLimitExceeded
from penstock.core.message import Message
from penstock.programs.run import NEVER, Finished, run
from penstock.worker.coroutines import Interruptible
from penstock.worker.job import Job
from penstock.worker.raw import DELIVERIES, Raw
from penstock.worker.run import Runs

#: AMQP's basic properties; each is MESSAGE_<NAME> to the program if the message has it; message_id is MESSAGE_ID.
_PROPERTIES: Final = (
    "message_id",
    "correlation_id",
    "reply_to",
    "content_type",
    "content_encoding",
    "priority",
    "timestamp",
    "expiration",
    "delivery_mode",
    "type",
    "user_id",
    "app_id",
    "cluster_id",
)
_NAME: Final = re.compile(r"[^A-Z0-9]")


class Feeds(Runs):
    """Runs the program for one message after the other."""

    def __init__(self, *given: Any, raw: Raw, **more: Any) -> None:
        super().__init__(*given, **more)
        self.raw = raw

    async def coroutine(self, job: Job) -> None:
        """Run the program with this message."""
        self._begin(job)
        try:
            job.runner = inside = Interruptible(self._feed(job))
            await inside
        except BaseException as error:  # whatever it is, it is the message's fate and not the worker's
            job.error = error
        self._end(job)

    async def _feed(self, job: Job) -> None:
        message = job.delivery.message
        finished = await run(
            self.raw.program,
            message.body,
            environment=variables(message, job.deliveries, redelivered=job.delivery.redelivered),
            stderr=_pass_on,
            time=self.raw.time,
        )
        if finished.code or finished.late:
            raise _failure(finished)


def variables(message: Message, deliveries: int, *, redelivered: bool = False) -> dict[str, str]:
    """What a program learns of its message: MESSAGE_QUEUE, MESSAGE_DELIVERY, its properties and headers."""
    found = {
        "MESSAGE_QUEUE": message.queue,
        "MESSAGE_DELIVERY": str(deliveries),
        "MESSAGE_REDELIVERED": str(int(redelivered or deliveries > 1)),
    }
    found |= {
        f"MESSAGE_{name.removeprefix('message_').upper()}": _text(message.properties[name])
        for name in _PROPERTIES
        if message.properties.get(name) is not None
    }
    return found | dict(_headers(message))


def _headers(message: Message) -> Iterator[tuple[str, str]]:
    for name, value in message.headers.items():
        if name != DELIVERIES:
            yield f"MESSAGE_HEADER_{_NAME.sub('_', name.upper())}", _text(value)


def _text(value: Any) -> str:
    """A value as an environment can hold it: texts as they are, others as JSON, without NUL characters."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def _failure(finished: Finished) -> Exception:
    if finished.late:
        return TimeLimitExceeded(finished.told())
    return (Reject if finished.code == NEVER else ProgramError)(finished.told())


def _pass_on(chunk: bytes) -> None:
    """What the program says goes where ours goes; that nobody reads it any more is not the message's fault."""
    with suppress(OSError):
        os.write(2, chunk)
