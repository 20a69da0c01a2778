"""kombu's envelope of a message in Redis (celery-protocol §2.2), and back. Pure.

Ours begin with the delivery tag, so that it is found without a search; it holds a handle of the task and the time.
"""

from __future__ import annotations

import binascii
import functools
import hashlib
import itertools
import json
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Final

from penstock.core.encoding import dumps, loads
from penstock.core.errors import DecodingError
from penstock.core.head import short_head, texts_of, usual_headers, usual_properties
from penstock.core.message import Message, priority_step

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:@-]{1,64}")
#: the level of a list: our lanes, the queue itself, kombu's lists
_LANES: Final = {0: "0", 3: "3", 6: "6", 9: "9"}
_KOMBU: Final = {0: "0", 3: "a", 6: "b", 9: "c"}
_OURS: Final = frozenset({"delivery_tag", "delivery_info", "body_encoding"})


def handle(task_id: str) -> str:
    """What stands for a task in tags: its id, or a hash of one that needs escapes."""
    if not task_id:
        return ""
    if _PLAIN.fullmatch(task_id):
        return task_id
    return f"={hashlib.blake2b(task_id.encode('utf-8', 'replace'), digest_size=16).hexdigest()}"


class Tags:
    """Delivery tags, each given once: handle ~ milliseconds, process and number."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._process = os.urandom(5).hex()
        self._numbers = itertools.count()

    def new(self, task_id: str) -> str:
        return f"{handle(task_id)}~{int(self._clock() * 1000):012x}{self._process}{next(self._numbers):x}"


def published_at(tag: str) -> float | None:
    """Unix seconds at which a message of ours was published; None for others."""
    head, mark, tail = tag.rpartition("~")
    del head
    try:
        return int(tail[:12], 16) / 1000 if mark else None
    except ValueError:
        return None


def level(priority: int, celery: bool) -> str:
    """The level of the list that a priority goes to."""
    return (_KOMBU if celery else _LANES)[priority_step(priority)]


def encode(message: Message, tag: str) -> bytes:
    """The envelope. Raises EncodingError for headers or properties that cannot travel."""
    if not (head := short_head(message)):
        return _spelt(message, tag)
    task, task_id, args, kwargs, origin = texts_of(head)
    queue, body = _said(message.queue, "queue"), b64encode(message.body)
    return _USUAL % (tag.encode(), queue, task_id, body, task, task_id, task_id, args, kwargs, origin)


def _spelt(message: Message, tag: str) -> bytes:
    properties = dict(message.properties)
    kind, charset = properties.pop("content_type", None), properties.pop("content_encoding", None)
    if "priority" not in properties or properties["priority"] != message.priority:
        properties["penstock_priority"] = message.priority
    queue = _said(message.queue, "queue")
    own = dumps(properties, where="properties")[1:-1]
    content = b"" if kind is None else b',"content-type":' + _said(kind)
    if charset is not None:
        content += b',"content-encoding":' + _said(charset)
    return (
        b'{"properties":{"delivery_tag":"%b","delivery_info":{"exchange":"","routing_key":%b},"body_encoding":"base64"%b%b}'
        b',"body":"%b"%b,"headers":%b}'
    ) % (
        tag.encode(),
        queue,
        b"," if own else b"",
        own,
        b64encode(message.body),
        content,
        dumps(message.headers, where="headers"),
    )


def _said(value: Any, where: str = "value") -> bytes:
    """JSON of what is mostly one of a few texts."""
    return _known(value, where) if type(value) is str else dumps(value, where=where)


@functools.lru_cache(256)
def _known(text: str, where: str) -> bytes:
    return dumps(text, where=where)


def _usual() -> bytes:
    """The envelope of all messages that are as most are, with gaps for what differs."""
    headers, properties = usual_headers("@", "@", "@", "@", "@"), usual_properties("@")
    text = _spelt(Message(b"", headers, properties, "@"), "@tag")
    return text.replace(b'"@tag"', b'"%b"').replace(b'"body":""', b'"body":"%b"').replace(b'"@"', b"%b")


_USUAL: Final = _usual()


def decode(raw: bytes, queue: str) -> tuple[Message, bool]:
    """The message in an envelope, and whether it was delivered before.

    What is no envelope becomes a raw message with all of it as the body: it is for the worker to refuse.
    """
    try:
        found = loads(raw)
        return _message(found, queue)
    except (DecodingError, AttributeError, KeyError, TypeError, ValueError, binascii.Error):
        return Message(raw, queue=queue), False


def marked(raw: bytes) -> bytes:
    """The envelope of a message that will be delivered again, with Celery's marks; as it is where it is none."""
    try:
        found = loads(raw)
        found["headers"] = {**(found.get("headers") or {}), "redelivered": True}
        info = found["properties"]["delivery_info"]
        found["properties"]["delivery_info"] = {**info, "redelivered": True}
        # the tag comes first, as it must
        properties = found.pop("properties")
        tag = properties.pop("delivery_tag")
        ordered = {"properties": {"delivery_tag": tag, **properties}, **found}
        return dumps(ordered) if raw.startswith(b'{"properties":{"delivery_tag":"') else json.dumps(ordered).encode()
    except (DecodingError, AttributeError, KeyError, TypeError, ValueError):
        return raw


def _message(found: Any, queue: str) -> tuple[Message, bool]:
    properties, headers = dict(found["properties"]), found.get("headers") or {}
    info = properties.get("delivery_info") or {}
    again = bool(headers.pop("redelivered", False)) or info.get("redelivered") is True
    encoded = properties.get("body_encoding") == "base64"
    for name in _OURS:
        properties.pop(name, None)
    body = found.get("body") or ""
    raw = b64decode(body, validate=True) if encoded else body.encode()
    own = properties.pop("penstock_priority", None)
    priority = own if own is not None else properties.get("priority")
    for name, key in (("content_type", "content-type"), ("content_encoding", "content-encoding")):
        if found.get(key) is not None:
            properties[name] = found[key]
    return Message(raw, headers, properties, queue, priority if type(priority) is int else 0), again
