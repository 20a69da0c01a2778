"""Messages that nobody should send: (body, headers, properties), by what is wrong with them."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Bad:
    """A message, and the dead letter that must come of it: its reason, and a part of what it says."""

    what: str
    body: bytes
    reason: str
    says: str
    headers: dict[str, Any] = field(default_factory=dict)
    content_type: str = "application/json"
    properties: dict[str, Any] = field(default_factory=dict)

    def order(self) -> dict[str, Any]:
        """For the console."""
        headers = {"task": "tasks.add", "id": f"bad: {self.what}", **self.headers}
        return {
            "body": base64.b64encode(self.body).decode(),
            "headers": {name: value for name, value in headers.items() if value is not ...},
            "content_type": self.content_type,
            "properties": {"content_encoding": "utf-8", **self.properties},
        }


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


GOOD = b"[[1, 2], {}, {}]"


def messages(trap: Path) -> list[Bad]:
    """Those that have an envelope. What would run code makes the file `trap`."""
    pickled = pickle.dumps([[Trap(trap)], {}, {}])
    yaml = f"!!python/object/apply:os.system ['touch {trap}']".encode()
    bomb = zlib.compress(b"[[1, 2], {}, {}]" + b" " * 50_000_000)
    kinds = {
        "application/x-python-serialize": pickled,
        "application/x-yaml": yaml,
        "application/x-msgpack": b"\x93",
        "application/data": GOOD,
        "text/plain": GOOD,
        "application/jsonp": GOOD,
    }
    found = [Bad(kind, body, "content-type", "refused", content_type=kind) for kind, body in kinds.items()]
    bodies = {
        "pickle that says it is JSON": pickled,
        "not JSON": b"{[",
        "empty": b"",
        "cut short": b'[[1, 2], {}, {"chain": ',
        "not UTF-8": b'[["\xff\xfe"], {}, {}]',
        "UTF-16": GOOD.decode().encode("utf-16"),
        "deep": b"[" * 100_000 + b"]" * 100_000,
        "deep arguments": b"[[" + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"], {}, {}]",
        "bad date": b'[[{"__type__": "datetime", "__value__": "soon"}], {}, {}]',
        "bad base64 inside": b'[[{"__type__": "base64", "__value__": "!"}], {}, {}]',
        "trailing": GOOD + b" x",
    }
    found += [Bad(what, body, "undecodable", "cannot be decoded") for what, body in bodies.items()]
    shapes: dict[str, Any] = {
        "null": None,
        "number": 42,
        "text": "x",
        "one": [1],
        "four": [[], {}, {}, {}],
        "object": {},
    }
    found += [
        Bad(f"body is {what}", json.dumps(body).encode(), "undecodable", "the body is") for what, body in shapes.items()
    ]
    parts = {"args": [{"x": 1}, {}, {}], "kwargs": [[1], [2], {}]}
    found += [
        Bad(f"{what} of a wrong type", json.dumps(body).encode(), "undecodable", what) for what, body in parts.items()
    ]
    headers: dict[str, tuple[dict[str, Any], str]] = {
        "no task": ({"task": ...}, "not a task"),
        "task is a number": ({"task": 42}, "`task`"),
        "task is a list": ({"task": ["tasks.add"]}, "`task`"),
        "task is empty": ({"task": ""}, "`task`"),
        "no id": ({"id": ...}, "`id`"),
        "id is a number": ({"id": 7}, "`id`"),
        "nul in the id": ({"id": "nul \0 nul"}, "`id`"),
        "nul in the name": ({"task": "tasks\0add"}, "`task`"),
        "eta": ({"eta": "soon"}, "`eta`"),
        "eta is a list": ({"eta": [1]}, "`eta`"),
        "eta before all calendars": ({"eta": "0001-01-01T00:00:00+23:00"}, "`eta`"),
        "expires": ({"expires": "2020-99-99"}, "`expires`"),
        "expires is a table": ({"expires": {"x": 1}}, "`expires`"),
        "retries": ({"retries": "many"}, "`retries`"),
        "retries below zero": ({"retries": -1}, "`retries`"),
        "timelimit is a text": ({"timelimit": "10"}, "`timelimit`"),
        "timelimit of one": ({"timelimit": [10]}, "`timelimit`"),
        "timelimit of texts": ({"timelimit": ["a", "b"]}, "`timelimit`"),
        "timelimit below zero": ({"timelimit": [-1, None]}, "`timelimit`"),
    }
    found += [Bad(what, GOOD, "undecodable", says, given) for what, (given, says) in headers.items()]
    squeezed = {
        "zlib": (b"garbage", "application/x-gzip", "not valid"),
        "zlib cut short": (zlib.compress(GOOD)[:-4], "application/x-gzip", "cut short"),
        "bz2": (b"garbage", "application/x-bz2", "not valid"),
        "lzma": (b"garbage", "application/x-lzma", "not valid"),
        "bomb": (bomb, "application/x-gzip", "more than 10000000"),
        "unknown compression": (GOOD, "application/x-snappy", "not supported"),
        "compression is a list": (GOOD, ["gzip"], "not supported"),
    }
    found += [
        Bad(f"compression: {what}", body, "compression", says, {"compression": kind})
        for what, (body, kind, says) in squeezed.items()
    ]
    found.append(Bad("11 MB", b'[["' + b"x" * 11_000_000 + b'"], {}, {}]', "undecodable", "the limit is 10000000"))
    long = "x" * 100_000
    found.append(Bad("a name of 100 kB", GOOD, "NotRegistered", "xxx", {"task": long}))
    return found


#: Sent with nothing else wrong, these run: the value of the task is 3.
ODD: dict[str, dict[str, Any]] = {
    "headers of 100 kB": {"x-long": "x" * 100_000},
    "a thousand headers": {f"x-{number}": number for number in range(1000)},
    "nested header": {"x-deep": {"a": [{"b": [1, {"c": None}]}]}},
    "delivery tag in a header": {"x-copy": {"delivery_tag": "the same for all"}},
    "informing headers of wrong types": {
        "root_id": 5, "parent_id": [], "group": {}, "group_index": "x", "origin": 1, "shadow": [], "stamps": 7,
        "ignore_result": "yes", "argsrepr": 5, "lang": None, "stamped_headers": "x", "replaced_task_nesting": "x",
    },
    "no limits": {"timelimit": None},
    "zero limits": {"timelimit": [0, 0]},
    "an id of 100 kB": {"id": "i" * 100_000},
    "an id with lines": {"id": "two\r\nlines | and ~ 'quotes' \" \\ %s {}"},
    "an id of emoji": {"id": "🐦 ü \u202e"},
}  # fmt: skip


def envelope(task_id: str, **properties: Any) -> dict[str, Any]:
    """kombu's, of a good message."""
    given = {
        "delivery_tag": "raw",
        "delivery_info": {"exchange": "", "routing_key": "celery"},
        "body_encoding": "base64",
        "priority": 0,
        **properties,
    }
    return {
        "body": base64.b64encode(GOOD).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "tasks.add", "id": task_id},
        "properties": given,
    }


def tags() -> dict[str, bytes]:
    """Envelopes by task id, which are fine but for their delivery tags."""
    strange: tuple[Any, ...] = (
        None,
        7,
        [],
        "a|b|c",
        'a"b',
        "ü" * 100,
        "x" * 5000,
        "",
        "\0",
        "*",
        "the same",
        "the same",
        "the same",
    )
    found = {
        f"{n} {tag!r:.20}": json.dumps(envelope(f"{n} {tag!r:.20}", delivery_tag=tag)) for n, tag in enumerate(strange)
    }
    broken = json.dumps(envelope("bytes", delivery_tag="XX")).encode().replace(b"XX", b"\xc3\xbc|")
    return {**{task_id: each.encode() for task_id, each in found.items()}, "bytes": broken}


def raw(trap: Path) -> dict[str, bytes]:
    """What stands in a list of Redis without being a message, or hardly."""
    good = envelope("raw")

    def with_(**changes: Any) -> bytes:
        return json.dumps({**good, **changes}).encode()

    def properties(**changes: Any) -> bytes:
        return with_(properties={**good["properties"], **changes})

    return {
        "empty": b"",
        "text": b"hello",
        "bytes": bytes(range(256)),
        "pickle": pickle.dumps(Trap(trap)),
        "null": b"null",
        "number": b"42",
        "list": b"[]",
        "object": b"{}",
        "deep": b"[" * 100_000,
        "deep envelope": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "our beginning": b'{"properties":{"delivery_tag":"',
        "our beginning, no end": b'{"properties":{"delivery_tag":"' + b"x" * 100_000,
        "our beginning, then nothing": b'{"properties":{"delivery_tag":"abc"',
        "bad base64": with_(body="*no base64*"),
        "base64 of the wrong length": with_(body="abcde"),
        "body is a number": with_(body=42),
        "body is a list": with_(body=[1]),
        "no properties": with_(properties=None),
        "properties are a list": with_(properties=[]),
        "headers are a list": with_(headers=[1]),
        "headers are a text": with_(headers="task"),
        "encoding unknown": properties(body_encoding="rot13"),
        "cut short": with_()[:-20],
        "not UTF-8": with_(headers={"task": "tasks.add", "id": "XX"}).replace(b"XX", b"\xff\xff"),
        "11 MB": b"x" * 11_000_000,
        "surrogate in the id": with_(headers={"task": "tasks.add", "id": "\ud800"}),
        "surrogate in the name": with_(headers={"task": "\udfff", "id": "fine"}),
        "surrogate in a header": with_(headers={"task": 1, "id": "fine, too", "x": ["\ud800"]}),
        "deep header": with_(headers={"task": 1, "id": "deep", "x": json.loads("[" * 80 + "]" * 80)}),
        "tag forged": b'{"properties":{"delivery_tag":"a|b\xff"}, "body": "W10="}',
    }
