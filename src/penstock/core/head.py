"""Heads: all of a message but its body and its queue, as back ends keep it; in short where it is as most are. Pure.

Most messages are a task's own, to run at once, and say nothing that ours do not all say. Of such a one five texts are
kept, a fifth of the bytes, which is what disks and networks see of it.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Final

import msgspec
from msgspec import Raw

from penstock.core.encoding import dumps, loads
from penstock.core.message import Message

JSON: Final = "application/json"

_encode = msgspec.json.Encoder().encode
_five = msgspec.json.Decoder(tuple[str, str, str, str, str]).decode
#: task, id, argsrepr, kwargsrepr and origin of a short head, as the JSON they are
texts_of: Final = msgspec.json.Decoder(tuple[Raw, Raw, Raw, Raw, Raw]).decode
_SHORT: Final = b'["'  #: how a short head begins; a long one is an array of objects


def usual_headers(task: str, task_id: str, argsrepr: str, kwargsrepr: str, origin: str) -> dict[str, Any]:
    """The headers of a task that is to run once, at once, and has no limits, parent or group."""
    return {
        "lang": "py",
        "task": task,
        "id": task_id,
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": task_id,
        "parent_id": None,
        "argsrepr": argsrepr,
        "kwargsrepr": kwargsrepr,
        "origin": origin,
        "ignore_result": None,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    }


def usual_properties(task_id: str) -> dict[str, Any]:
    """The properties of a task to which nobody awaits a reply."""
    return {
        "correlation_id": task_id,
        "reply_to": "",
        "delivery_mode": 2,
        "priority": 0,
        "content_type": JSON,
        "content_encoding": "utf-8",
    }


_HEADERS: Final = usual_headers("", "", "", "", "")
_PROPERTIES: Final = usual_properties("")
_FIVE: Final = ("task", "id", "argsrepr", "kwargsrepr", "origin")
_texts = itemgetter(*_FIVE, "root_id")
_others = itemgetter(*(name for name in _HEADERS if name not in {*_FIVE, "root_id"}))
_attributes = itemgetter(*(name for name in _PROPERTIES if name != "correlation_id"))
#: compared as JSON, which tells 0 from false
_USUAL: Final = _encode([_others(_HEADERS), _attributes(_PROPERTIES)])
_TEXTS: Final = {str}


def head_of(message: Message) -> bytes:
    """The head, made once. Raises EncodingError for what JSON cannot say."""
    if not message.head:
        message.head = short_head(message) or _long(message)
    return message.head


def short_head(message: Message) -> bytes:
    """The head of a message that is as most are; nothing for any other."""
    if not message.head and message.due is None and message.priority == 0:
        message.head = _short(message.headers, message.properties)
    return message.head if message.head.startswith(_SHORT) else b""


def message_of(head: bytes, body: bytes, queue: str) -> Message:
    """The message of a head."""
    if head.startswith(_SHORT):
        texts = _five(head)
        return Message(body, usual_headers(*texts), usual_properties(texts[1]), queue)
    headers, properties, *others = loads(head)
    return Message(body, headers, properties, queue, *others)


def _long(message: Message) -> bytes:
    return dumps([message.headers, message.properties, message.priority, message.due], where="message")


def _short(headers: dict[str, Any], properties: dict[str, Any]) -> bytes:
    """The five texts; nothing if there is more to tell."""
    if len(headers) != len(_HEADERS) or len(properties) != len(_PROPERTIES):
        return b""
    try:
        texts = _texts(headers)
        if set(map(type, texts)) != _TEXTS or not texts[1] == texts[5] == properties["correlation_id"]:
            return b""
        return _encode(texts[:5]) if _encode([_others(headers), _attributes(properties)]) == _USUAL else b""
    except (KeyError, TypeError, ValueError):  # a name of ours is missing, or JSON cannot say it: `dumps` tells how
        return b""
