"""From messages to AMQP's properties, headers and body, and back. Pure.

A Celery message is what it is on the wire. What a message says that AMQP has no room for stands in a header of ours.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from penstock.core.errors import EncodingError
from penstock.core.message import Message
from penstock.core.protocol import GENERATION
from penstock.drivers.amqp import frames
from penstock.drivers.amqp.channel import Arrived

#: header: a table of what else there is: {"priority", "bare", "redelivered"}
OURS: Final = "penstock"
#: what dead-lettering in the queues of delays leaves behind
_DEATHS: Final = ("x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason",
                  "x-last-death-exchange", "x-last-death-queue", "x-last-death-reason")  # fmt: skip
#: headers that servers add
_COUNTS: Final = ("x-delivery-count", "x-acquired-count")
_DELAYED: Final = "celery_delayed_"
_DURABLE: Final = {"delivery_mode": 2}


def encode(message: Message, redelivered: bool = False) -> bytes:
    """The packed properties and headers. Raises EncodingError for what cannot travel.

    `redelivered`: the mark of an earlier delivery, which a new copy of a message would lose.
    """
    properties, ours = message.properties, {}
    if properties.get("delivery_mode") != 2:
        ours["bare"] = properties.get("delivery_mode")
        properties = {**properties, **_DURABLE}
    if message.priority != properties.get("priority"):
        ours["priority"] = message.priority
    if redelivered:
        ours["redelivered"] = True
    if "expiration" in properties:  # RabbitMQ would drop it silently; expiry is the worker's work
        ours["expiration"] = properties["expiration"]
        properties = {name: value for name, value in properties.items() if name != "expiration"}
    try:
        return frames.pack_properties(properties, {**message.headers, OURS: ours} if ours else message.headers)
    except (ValueError, TypeError) as error:
        raise EncodingError(str(error), "headers") from error


def encode_answer(answer: Message) -> bytes:
    """The packed properties of an answer, as Celery's own are: nothing of ours in them."""
    return frames.pack_properties(answer.properties, {})


def decode(arrived: Arrived, queue: str) -> tuple[Message, bool]:
    """The message, and whether it carries the mark of an earlier delivery."""
    properties, headers = arrived.properties, arrived.headers
    priority = properties.get("priority", 0)
    again = False
    if OURS in headers:
        ours = headers.pop(OURS)
        if isinstance(ours, dict):
            again = ours.get("redelivered") is True
            priority = _own(ours, properties, priority)
    if "x-death" in headers:
        _undead(headers)
    for name in _COUNTS:
        headers.pop(name, None)
    return Message(arrived.body, headers, properties, queue, priority), again


def identity(message: Message) -> str:
    """What is equal for two deliveries of one message, and differs between a task's attempts."""
    task_id = message.task_id
    if not task_id:
        return hashlib.blake2b(message.body, digest_size=16).hexdigest()
    return f"{task_id} {message.headers.get('retries')} {message.headers.get(GENERATION)}"


def _own(ours: dict[str, Any], properties: dict[str, Any], priority: int) -> int:
    """Put back what AMQP had no room for; return the priority."""
    if "bare" in ours:
        properties.pop("delivery_mode", None)
        if ours["bare"] is not None:
            properties["delivery_mode"] = ours["bare"]
    if "expiration" in ours:
        properties["expiration"] = ours["expiration"]
    found = ours.get("priority", priority)
    return found if type(found) is int else priority


def _undead(headers: dict[str, Any]) -> None:
    """Strip the traces of a delay; those of other dead-lettering are the user's."""
    deaths = headers["x-death"]
    kept = [each for each in deaths if not _of_delay(each)] if isinstance(deaths, list) else deaths
    if kept:
        headers["x-death"] = kept
        return
    for name in _DEATHS:
        headers.pop(name, None)


def _of_delay(death: Any) -> bool:
    return isinstance(death, dict) and str(death.get("queue", "")).startswith(_DELAYED)
