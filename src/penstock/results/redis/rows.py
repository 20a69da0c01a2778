"""Records as the fields of a hash and a message beside it, and back; lines of the feed. Pure.

The fields are told in records.lua. One that is not there has its default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from penstock.core.encoding import dumps, loads
from penstock.core.head import head_of, message_of
from penstock.core.message import Message
from penstock.core.record import Attempt, Change, Record
from penstock.drivers.redis.wire import Argument

_unpack = msgspec.msgpack.Decoder().decode

_TEXTS: Final = {
    "t": "task", "q": "queue", "s": "state", "w": "worker", "k": "cancel", "u": "submitter", "T": "traceback",
}  # fmt: skip
_MOMENTS: Final = {
    "c": "created_at", "e": "eta", "x": "expires", "b": "started_at", "f": "finished_at",
}  # fmt: skip
_COUNTS: Final = {"p": "pid", "r": "retries", "d": "deliveries", "g": "generation"}
_JSON: Final = {"R": "result", "P": "progress"}


#: what a plain submission has none of
_LATER: Final = ("started_at", "finished_at", *_COUNTS.values(), "worker", "cancel", *_JSON.values(), "traceback")
_later = attrgetter("children", "attempts", *_LATER)
_UNTOUCHED: Final[tuple[Any, ...]] = ([], [], None, None, *(0,) * len(_COUNTS), "", "", *(None,) * len(_JSON), None)


def _attempts(value: bytes) -> list[Attempt]:
    return [Attempt(**attempt) for attempt in loads(value)]


_READ: Final[dict[str, tuple[str, Callable[[bytes], Any]]]] = (
    {key: (name, bytes.decode) for key, name in _TEXTS.items()}
    | {key: (name, float) for key, name in _MOMENTS.items()}
    | {key: (name, int) for key, name in _COUNTS.items()}
    | {key: (name, bytes) for key, name in _JSON.items()}
    | {"C": ("children", loads), "A": ("attempts", _attempts)}
)


def fields_of(record: Record) -> list[Argument]:
    """Names and values of the fields that are not at their defaults."""
    found: list[Argument] = [
        "t", record.task, "q", record.queue, "s", record.state, "c", repr(float(record.created_at)),
    ]  # fmt: skip
    if record.submitter:
        found += ("u", record.submitter)
    if record.eta is not None:
        found += ("e", repr(float(record.eta)))
    if record.expires is not None:
        found += ("x", repr(float(record.expires)))
    if not record.confirmed:
        found += ("o", repr(float(record.created_at)))
    if _later(record) != _UNTOUCHED:
        found += _rest(record)
    return found


def _rest(record: Record) -> Iterator[Argument]:
    for key, name in (("b", "started_at"), ("f", "finished_at")):
        if (moment := getattr(record, name)) is not None:
            yield from (key, repr(float(moment)))
    for key, name in (_COUNTS | {"w": "worker", "k": "cancel"}).items():
        if value := getattr(record, name):
            yield from (key, value)
    for key, name in (_JSON | {"T": "traceback"}).items():
        if (value := getattr(record, name)) is not None:
            yield from (key, value)
    if record.children:
        yield from ("C", dumps(record.children))
    if record.attempts:
        yield from ("A", dumps(record.attempts))


def message_blob(message: Message) -> bytes:
    """All of a message but its queue: the length of what stands before the body, that, the body."""
    head = head_of(message)
    return b"%d\n%b%b" % (len(head), head, message.body)


def message_in(blob: bytes, queue: str) -> Message:
    """From what `message_blob` made."""
    length, _, rest = blob.partition(b"\n")
    size = int(length)
    return message_of(rest[:size], rest[size:], queue)


def record_of(row: Sequence[Any]) -> Record:
    """From what the step `get` answers."""
    task_id, fields, blob = row[:3]
    given: dict[str, Any] = {"task": "", "state": "PENDING", "queue": "", "created_at": 0.0, "confirmed": True}
    for key, value in zip(fields[::2], fields[1::2], strict=True):
        name = key.decode()
        if name in _READ:
            field, read = _READ[name]
            given[field] = read(value)
        elif name == "o":
            given["confirmed"] = False
    return Record(task_id=task_id.decode(), message=message_in(blob or b"14\n[{},{},0,null]", given["queue"]), **given)


class Entry:
    """One entry of the stream: the lines of one commit."""

    def __init__(self, raw: Sequence[Any]) -> None:
        name, pairs = raw
        self._fields: Mapping[bytes, bytes] = dict(zip(pairs[::2], pairs[1::2], strict=True))
        self.ids: list[str] = _unpack(self._fields[b"i"])
        self.last = int(name.partition(b"-")[0])

    def seqs(self) -> range:
        """The numbers of its lines."""
        return range(self.last - len(self.ids) + 1, self.last + 1)

    def changes(self, seqs: Sequence[int]) -> list[Change]:
        """The lines of these numbers; what the others say is not looked at."""
        if not seqs:
            return []
        at, lines, first = float(self._fields[b"a"]), _unpack(self._fields[b"l"]), self.seqs()[0]
        return [self._change(seq, at, self.ids[seq - first], lines[seq - first]) for seq in seqs]

    def _change(self, seq: int, at: float, task_id: str, line: Sequence[str]) -> Change:
        task, queue, state, worker, progress = line
        return Change(
            seq=seq, at=at, task_id=task_id, task=task, queue=queue, state=state, worker=worker,
            progress=progress.encode() if progress else None,
        )  # fmt: skip
