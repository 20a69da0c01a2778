"""The Celery message protocol: tasks to messages and back (celery-protocol §1). Pure: no sockets, no clock.

Submitting and running pass through here once a task each, so both ways stay within a few microseconds.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from penstock.core.compression import decompress
from penstock.core.encoding import dumps, loads
from penstock.core.errors import BadMessage, DecodingError
from penstock.core.head import JSON, usual_headers, usual_properties
from penstock.core.message import Message
from penstock.core.preview import preview
from penstock.core.request import Request
from penstock.core.times import iso, parse, unix

GENERATION: Final = "penstock_generation"  #: header: how often the task was retried through the API
MAX_BODY: Final = 10_000_000  #: bytes of a body once decompressed, unless the caller says otherwise

#: Headers that are ours to write. A user's header of such a name is refused when it is submitted.
# fmt: off
RESERVED: Final = frozenset((
    "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit", "root_id",
    "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting", "stamped_headers",
    "stamps", "compression", "redelivered", GENERATION,
))
# fmt: on

_NO_EMBED = b'{"callbacks":null,"errbacks":null,"chain":null,"chord":null}'
_NO_LIMITS: tuple[None, None] = (None, None)
_UNLIMITED = [None, None]


class _Origin:
    """`gen<pid>@<host>` of this process; a forked child has its own."""

    def __init__(self) -> None:
        self.text = ""
        self.renew()
        os.register_at_fork(after_in_child=self.renew)

    def renew(self) -> None:
        self.text = f"gen{os.getpid()}@{socket.gethostname()}"


_origin = _Origin()


def encode_body(args: Sequence[Any], kwargs: Mapping[str, Any], embed: Mapping[str, Any] | None = None) -> bytes:
    """`[args, kwargs, embed]` as JSON. Raises EncodingError naming the path, e.g. `args[0].price`."""
    tail = dumps(embed, where="embed") if embed else _NO_EMBED
    return b"[%b,%b,%b]" % (dumps(list(args), where="args"), dumps(kwargs, where="kwargs") if kwargs else b"{}", tail)


def encode_task(  # noqa: PLR0913  # one keyword for each thing that a message says
    *,
    task: str,
    task_id: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    queue: str,
    priority: int = 0,
    eta: float | None = None,
    expires: float | None = None,
    retries: int = 0,
    time_limit: float | None = None,
    soft_time_limit: float | None = None,
    root_id: str | None = None,
    parent_id: str | None = None,
    ignore_result: bool | None = None,
    reply_to: str = "",
    headers: Mapping[str, Any] | None = None,
    embed: Mapping[str, Any] | None = None,
    shadow: str | None = None,
    group: str | None = None,
    group_index: int | None = None,
) -> Message:
    """The message of a task. `eta` and `expires` are unix seconds, limits seconds; `headers` are the user's own.

    There is never an `expiration` property: RabbitMQ would drop expired messages silently (DESIGN §5.5).
    Raises EncodingError for arguments that cannot travel.
    """
    full = usual_headers(task, task_id, preview(tuple(args)), preview(dict(kwargs)) if kwargs else "{}", _origin.text)
    full["shadow"], full["retries"], full["ignore_result"] = shadow, retries, ignore_result
    if eta is not None:
        full["eta"] = iso(eta)
    if expires is not None:
        full["expires"] = iso(expires)
    if time_limit is not None or soft_time_limit is not None:
        full["timelimit"] = [time_limit, soft_time_limit]
    if root_id:
        full["root_id"] = root_id
    full["parent_id"], full["group"], full["group_index"] = parent_id, group, group_index
    properties = usual_properties(task_id)
    properties["reply_to"], properties["priority"] = reply_to, priority
    body = encode_body(args, kwargs, embed)
    return Message(body, {**headers, **full} if headers else full, properties, queue, priority, eta)


def retry_of(message: Message, *, retries: int, due: float | None, body: bytes | None = None) -> Message:
    """The same message for its next attempt: same id, every unknown header and workflow field kept.

    `body` replaces the arguments (encode_body). `message` must have been through decode_task.
    """
    headers = {**message.headers, "retries": retries, "eta": None if due is None else iso(due)}
    headers.pop("redelivered", None)
    if body is not None:
        headers.pop("compression", None)
    properties = {key: value for key, value in message.properties.items() if key != "expiration"}
    return Message(message.body if body is None else body, headers, properties, message.queue, message.priority, due)


def reopened(message: Message, generation: int) -> Message:
    """The message for a later generation of the task: from the start, at once, without `eta` and `expires`."""
    fresh = retry_of(message, retries=0, due=None)
    fresh.headers |= {"expires": None, GENERATION: generation}
    return fresh


def decode_task(message: Message, max_body: int = MAX_BODY) -> Request:
    """What a message asks for. Understands protocol 2, protocol 1, and the mixture of both (celery-protocol §1.5).

    A message of protocol 1 is rewritten in place as protocol 2, so that records and retries know one form.
    Raises BadMessage with the reason: content type, compression, size, shape, or a header that makes no sense.
    """
    _accept(message)
    content = _content(message, max_body)
    if "task" not in message.headers or type(content) is dict:
        content = _upgrade(message, content, max_body)
    args, kwargs, embed = _parts(content)
    headers, properties = message.headers, message.properties
    get = headers.get
    hard, soft = _limits(get("timelimit"))
    task_id, task = _text(headers, "id"), _text(headers, "task")
    retries, generation = get("retries"), get(GENERATION)
    eta, expires, root = get("eta"), get("expires"), get("root_id")
    # what follows informs, but decides nothing about the run: of the wrong type it counts as absent
    parent, group, index, ignored = get("parent_id"), get("group"), get("group_index"), get("ignore_result")
    reply_to = properties.get("reply_to")
    request = Request(  # in the order of its fields: by their names it would take five times as long
        task_id,
        task,
        args,
        kwargs,
        embed,
        headers,
        0 if retries is None else _count("retries", retries),
        None if eta is None else _moment("eta", eta),
        None if expires is None else _moment("expires", expires),
        hard,
        soft,
        root if root and isinstance(root, str) else task_id,
        parent if isinstance(parent, str) else None,
        group if isinstance(group, str) else None,
        index if isinstance(index, int) else None,
        ignored if isinstance(ignored, bool) else None,
        reply_to if isinstance(reply_to, str) else "",
        message.priority,
        message.queue,
        0 if generation is None else _count(GENERATION, generation),
    )
    request.properties = properties
    return request


def raw_arguments(message: Message, max_body: int = MAX_BODY) -> tuple[bytes, bytes]:
    """(args, kwargs) as the JSON they travel as, not decoded. Raises BadMessage."""
    _accept(message)
    try:
        parts = _RAW_BODY.decode(_plain(message, max_body))
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadMessage(f"the body is not [args, kwargs, embed]: {error}") from error
    return bytes(parts[0]), bytes(parts[1])


_RAW_BODY = msgspec.json.Decoder(tuple[msgspec.Raw, msgspec.Raw, msgspec.Raw])
_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def _accept(message: Message) -> None:
    kind = message.properties.get("content_type")
    if kind != JSON:
        raise BadMessage(f"content type {kind!r} is refused, not decoded; only {JSON} is accepted", "content-type")


def _plain(message: Message, max_body: int) -> bytes:
    compression = message.headers.get("compression")
    return message.body if compression is None else decompress(message.body, compression, max_body)


def _content(message: Message, max_body: int) -> Any:
    body = _plain(message, max_body)
    if len(body) > max_body:
        raise BadMessage(f"the body has {len(body)} bytes, the limit is {max_body}")
    try:
        return loads(body)
    except DecodingError as error:
        raise BadMessage(f"the body cannot be decoded: {error}") from error


def _upgrade(message: Message, content: Any, max_body: int) -> Any:
    """Rewrite a message whose body is protocol 1's object; its headers, where it has some, win over the body's."""
    if not isinstance(content, dict) or not ("task" in message.headers or "task" in content):
        raise BadMessage("not a task: there is no `task` in its headers, and none in its body")
    if "task" in message.headers and "args" not in content and "kwargs" not in content:
        raise BadMessage("the body is an object without `args` or `kwargs`; it must be [args, kwargs, embed]")
    # The parts stay the bytes they are: what is only passed on is not encoded again.
    raw = _fields(_plain(message, max_body))
    embed = b",".join(b'"%b":%b' % (key.encode(), raw.get(key, b"null")) for key in ("callbacks", "errbacks", "chord"))
    message.body = b"[%b,%b,{%b}]" % (_given(raw, "args", b"[]"), _given(raw, "kwargs", b"{}"), embed)
    inside = ("task", "id", "retries", "eta", "expires", "group", "group_index", "timelimit")
    headers = {key: content[key] for key in inside if key in content}
    if content.get("taskset") is not None:
        headers["group"] = content["taskset"]
    message.headers = {**headers, **message.headers}
    message.headers.pop("compression", None)
    return _content(message, max_body)


def _fields(body: bytes) -> dict[str, bytes]:
    try:
        return {key: bytes(value) for key, value in _RAW_FIELDS.decode(body).items()}
    except (msgspec.DecodeError, RecursionError) as error:  # NaN, which `loads` is more lenient with
        raise BadMessage(f"the body cannot be decoded: {error}") from error


def _given(raw: Mapping[str, bytes], key: str, default: bytes) -> bytes:
    found = raw.get(key, default)
    return default if found == b"null" else found


def _parts(content: Any) -> tuple[list[Any], dict[str, Any], dict[str, Any]]:
    if not isinstance(content, list) or len(content) != 3:
        raise BadMessage("the body is not an array of exactly three: [args, kwargs, embed]")
    args, kwargs, embed = content
    if not isinstance(args, list):
        raise BadMessage("`args` is not an array")
    if not isinstance(kwargs, dict):
        raise BadMessage("`kwargs` is not an object")
    return args, kwargs, embed if isinstance(embed, dict) else {}


def _text(headers: Mapping[str, Any], name: str) -> str:
    found = headers.get(name)
    if not isinstance(found, str) or not found or "\0" in found:
        raise BadMessage(f"the header `{name}` is {preview(found, 60)}; it must be a text, not empty, without NUL")
    return found


def _count(name: str, found: Any) -> int:
    if type(found) is not int or found < 0:
        raise BadMessage(f"`{name}` is {preview(found, 60)}; it must be a whole number, 0 or more")
    return found


def _limits(pair: Any) -> tuple[float | None, float | None]:
    if pair is None or pair == _UNLIMITED:
        return _NO_LIMITS
    if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not all(_is_limit(limit) for limit in pair):
        raise BadMessage(f"`timelimit` is {preview(pair, 60)}; it must be [hard, soft], each seconds or null")
    return pair[0], pair[1]


def _is_limit(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0)


def _moment(name: str, value: Any) -> float:
    try:
        return unix(value) if isinstance(value, datetime) else parse(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadMessage(f"`{name}` is {preview(value, 60)}; it must be an ISO 8601 time") from error
