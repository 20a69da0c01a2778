"""AMQP 0-9-1 on the wire: methods, content headers and field tables as bytes and back. Pure: no sockets.

Written by hand for the twenty methods that are used here, because encoding and parsing is most of what a client costs.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from struct import Struct, error
from typing import Any, Final

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
END: Final = b"\xce"
#: type, channel, size
HEAD: Final = Struct("!BHI")
_IDS: Final = Struct("!HH")
_PROPERTIES: Final = Struct("!HHQH")  # class, weight, body size, flags
_SHORT, _LONG, _LONGLONG, _SIGNED, _DOUBLE = (Struct(form) for form in ("!H", "!I", "!Q", "!q", "!d"))
_LARGEST_NAME: Final = 255  # bytes of a "short string": every name there is

#: AMQP's basic properties by kombu's names, in the order of their flags from bit 15 down, and their kinds
PROPERTIES: Final = (
    ("content_type", "s"),
    ("content_encoding", "s"),
    ("headers", "F"),
    ("delivery_mode", "o"),
    ("priority", "o"),
    ("correlation_id", "s"),
    ("reply_to", "s"),
    ("expiration", "s"),
    ("message_id", "s"),
    ("timestamp", "T"),
    ("type", "s"),
    ("user_id", "s"),
    ("app_id", "s"),
    ("cluster_id", "s"),
)


class Malformed(Exception):
    """Bytes from the server that are not AMQP."""


def name(text: str) -> bytes:
    """A short string. Raises ValueError for more than 255 bytes of UTF-8."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > _LARGEST_NAME:
        raise ValueError(f"{text[:40]!r}… has {len(data)} bytes; RabbitMQ takes names of at most {_LARGEST_NAME}")
    return bytes((len(data),)) + data


def text(data: bytes, at: int) -> tuple[str, int]:
    """A short string that begins at `at`, and where it ends."""
    end = at + 1 + data[at]
    return data[at + 1 : end].decode("utf-8", "surrogateescape"), end


def long_text(data: bytes) -> bytes:
    return _LONG.pack(len(data)) + data


def method(channel: int, ids: tuple[int, int], arguments: bytes = b"") -> bytes:
    """A method frame."""
    return b"%b%b%b\xce" % (HEAD.pack(METHOD, channel, 4 + len(arguments)), _IDS.pack(*ids), arguments)


def content(channel: int, properties: bytes, body: bytes, frame_max: int) -> bytes:
    """The frames of a message after its method; `properties` as `pack_properties` makes them, without the size."""
    size = len(body)
    head = b"\x00\x3c\x00\x00" + _LONGLONG.pack(size) + properties
    parts = [HEAD.pack(HEADER, channel, len(head)), head, END]
    most = frame_max - 8
    if size and size <= most:
        parts += (HEAD.pack(BODY, channel, size), body, END)
    else:
        for start in range(0, size, most):
            piece = body[start : start + most]
            parts += (HEAD.pack(BODY, channel, len(piece)), piece, END)
    return b"".join(parts)


# -------------------------------------------------------------------------------------------------------- properties


def pack_properties(properties: Mapping[str, Any], headers: Mapping[str, Any]) -> bytes:
    """Flags and values; properties of other names, and of None, are left out. Raises ValueError for what cannot go."""
    flags, parts = 0, [b""]
    for bit, (key, kind) in enumerate(PROPERTIES):
        value = (headers or None) if kind == "F" else properties.get(key)
        if value is None:
            continue
        flags |= 1 << (15 - bit)
        parts.append(_PACK[kind](value))
    parts[0] = _SHORT.pack(flags)
    return b"".join(parts)


def unpack_properties(frame: bytes) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(size of the body, properties, headers) of a content header's payload. Raises Malformed."""
    try:
        _class, _weight, size, flags = _PROPERTIES.unpack_from(frame)
        at = _PROPERTIES.size
        found: dict[str, Any] = {}
        headers: dict[str, Any] = {}
        for key, kind in _FLAGGED.get(flags) or _flagged(flags):
            if kind == "s":
                end = at + 1 + frame[at]
                found[key] = frame[at + 1 : end].decode("utf-8", "surrogateescape")
                at = end
            elif kind == "o":
                found[key] = frame[at]
                at += 1
            elif kind == "F":
                headers, at = _layouts.unpack(frame, at)
            else:
                (found[key],) = _LONGLONG.unpack_from(frame, at)
                at += 8
    except (error, IndexError, ValueError, OverflowError, OSError) as fault:
        raise Malformed(f"a content header: {fault}") from fault
    return size, found, headers


_FLAGGED: dict[int, tuple[tuple[str, str], ...]] = {}  # the properties by flags, of which a few come all the time


def _flagged(flags: int) -> tuple[tuple[str, str], ...]:
    found = tuple(each for bit, each in enumerate(PROPERTIES) if flags & (1 << (15 - bit)))
    if len(_FLAGGED) < 256:
        _FLAGGED[flags] = found
    return found


def _pack_timestamp(value: datetime | int) -> bytes:
    return _LONGLONG.pack(int(value.timestamp() if isinstance(value, datetime) else value))


# ------------------------------------------------------------------------------------------------------------ tables


def pack_table(values: Mapping[str, Any]) -> bytes:
    """A field table. Raises ValueError for a value, or a name, that cannot travel in one."""
    parts: list[bytes] = []
    for key, value in values.items():
        parts.append(_KEYS.get(key) or _key(key))
        parts.append(pack_value(value))
    return long_text(b"".join(parts))


def pack_value(value: Any) -> bytes:
    """A value with its type before it."""
    pack = _WRITERS.get(type(value))
    if pack is not None:
        return pack(value)
    for kind, writer in _WRITERS.items():  # subclasses: StrEnum, OrderedDict …
        if isinstance(value, kind):
            return writer(value)
    raise ValueError(f"a {type(value).__name__} cannot travel in an AMQP header")


_KEYS: dict[str, bytes] = {}  # a few names come all the time


def _key(text_: str) -> bytes:
    data = name(text_)
    if len(_KEYS) < 256:
        _KEYS[text_] = data
    return data


def _pack_text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogateescape")
    return b"S" + _LONG.pack(len(data)) + data


def _pack_integer(value: int) -> bytes:
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{value} has more than 64 bits")
    return b"l" + _SIGNED.pack(value)


def _pack_decimal(value: Decimal) -> bytes:
    _, _, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} cannot travel in an AMQP header")
    places = max(0, -exponent)
    number = int(value.scaleb(places)) if value.adjusted() < 10 and places < 256 else 2**31
    if not -(2**31) <= number < 2**31:
        raise ValueError(f"{value} has too many digits for an AMQP header")
    return b"D" + bytes((places,)) + number.to_bytes(4, "big", signed=True)


def _pack_list(value: list[Any] | tuple[Any, ...]) -> bytes:
    return b"A" + long_text(b"".join(map(pack_value, value)))


_WRITERS: dict[type, Callable[[Any], bytes]] = {
    str: _pack_text,
    type(None): lambda _: b"V",
    bool: lambda value: b"t\x01" if value else b"t\x00",
    int: _pack_integer,
    float: lambda value: b"d" + _DOUBLE.pack(value),
    bytes: lambda value: b"x" + long_text(value),
    datetime: lambda value: b"T" + _pack_timestamp(value),
    Decimal: _pack_decimal,
    list: _pack_list,
    tuple: _pack_list,
    dict: lambda value: b"F" + pack_table(value),
}
_PACK: dict[str, Callable[[Any], bytes]] = {
    "s": lambda value: name(str(value)),
    "o": lambda value: bytes((min(255, max(0, int(value))),)),
    "F": pack_table,
    "T": _pack_timestamp,
}


def unpack_table(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """A field table that begins at `at`, and where it ends."""
    (size,) = _LONG.unpack_from(data, at)
    at += 4
    end = at + size
    found: dict[str, Any] = {}
    while at < end:
        stop = at + 1 + data[at]
        raw = data[at + 1 : stop]
        key = _NAMES.get(raw) or _name(raw)
        kind = data[stop]
        if kind == 0x53:  # S, by far the most
            start = stop + 5
            at = start + _LONG.unpack_from(data, stop + 1)[0]
            try:
                found[key] = data[start:at].decode()
            except UnicodeDecodeError:
                found[key] = data[start:at]
        elif kind == 0x56:  # V, nothing
            found[key], at = None, stop + 1
        else:
            found[key], at = unpack_value(data, stop)
    return found, _ended(data, at, end)


def _ended(data: bytes, at: int, end: int) -> int:
    """`end`, where what was read up to `at` is to end."""
    if at != end or end > len(data):
        raise ValueError("a table or list that does not end where it says")
    return end


_NAMES: dict[bytes, str] = {}  # a few names come all the time


def _name(data: bytes) -> str:
    key = data.decode("utf-8", "surrogateescape")
    if len(_NAMES) < 256:
        _NAMES[data] = key
    return key


def unpack_value(data: bytes, at: int) -> tuple[Any, int]:
    """A value with its type before it, and where it ends."""
    kind = data[at]
    at += 1
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return fixed.unpack_from(data, at)[0], at + fixed.size
    read = _READERS.get(kind)
    if read is None:
        raise ValueError(f"a field of unknown type {chr(kind)!r}")
    return read(data, at)


def _texts(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _piece(data: bytes, at: int) -> tuple[bytes, int]:
    (size,) = _LONG.unpack_from(data, at)
    end = at + 4 + size
    return data[at + 4 : end], end


def _read_text(data: bytes, at: int) -> tuple[str | bytes, int]:
    found, end = _piece(data, at)
    return _texts(found), end


def _read_list(data: bytes, at: int) -> tuple[list[Any], int]:
    (size,) = _LONG.unpack_from(data, at)
    at += 4
    end = at + size
    found = []
    while at < end:
        value, at = unpack_value(data, at)
        found.append(value)
    return found, _ended(data, at, end)


def _read_decimal(data: bytes, at: int) -> tuple[Decimal, int]:
    number = int.from_bytes(data[at + 1 : at + 5], "big", signed=True)
    return Decimal(number).scaleb(-data[at]), at + 5


def _read_time(data: bytes, at: int) -> tuple[datetime, int]:
    return datetime.fromtimestamp(_LONGLONG.unpack_from(data, at)[0], UTC), at + 8


_FIXED: Final = {ord(kind): Struct(f"!{form}") for kind, form in zip("tbBsuIilLfd", "?bBhHiIqqfd", strict=True)}
_READERS: dict[int, Callable[[bytes, int], tuple[Any, int]]] = {
    ord("S"): _read_text,
    ord("x"): _piece,
    ord("V"): lambda _, at: (None, at),
    ord("A"): _read_list,
    ord("F"): unpack_table,
    ord("D"): _read_decimal,
    ord("T"): _read_time,
}


# ----------------------------------------------------------------------------------------------------------- layouts


class Layout:
    """Tables of the same names in the same order: the bytes that were the same in all so far, and what varies."""

    __slots__ = ("copied", "fields", "fixed", "tail", "varying")

    def __init__(self, fields: list[tuple[str, bytes, bytes]], varying: Container[str] = ()) -> None:
        """`fields`: name, the bytes of the name, those of the value; `varying`: the names of values that are read."""
        self.fields = fields
        self.fixed: dict[str, Any] = {}
        self.copied: list[tuple[str, Callable[[], Any]]] = []  # each message is to have its own
        self.varying: list[tuple[str, bytes, int]] = []  # name, the bytes before the value, how many they are
        before = b""
        for key, named, raw in fields:
            value, _ = unpack_value(raw, 0)
            self.fixed[key] = value
            before += named
            if key in varying or _nested(value):
                self.varying.append((key, before, len(before)))
                before = b""
                continue
            before += raw
            if isinstance(value, (list, dict)):
                self.copied.append((key, value.copy))
        self.tail = before

    def with_(self, fields: list[tuple[str, bytes, bytes]]) -> Layout:
        """The layout that this table of the same names has, too."""
        known = {key for key, _, _ in self.varying}
        return Layout(
            fields, known.union(mine[0] for mine, its in zip(self.fields, fields, strict=True) if mine != its)
        )

    def read(self, table: bytes) -> dict[str, Any] | None:
        """What is in a table; None if it is not of this layout."""
        found, at = self.fixed.copy(), 0
        try:
            for key, before, length in self.varying:
                if not table.startswith(before, at):
                    return None
                at += length
                if table[at] == 0x53:  # S
                    start = at + 5
                    at = start + _LONG.unpack_from(table, at + 1)[0]
                    found[key] = table[start:at].decode()
                else:
                    found[key], at = unpack_value(table, at)
        except (error, IndexError, ValueError, OverflowError, OSError):  # the full look says what it is
            return None
        if at > len(table) or table[at:] != self.tail:
            return None
        for key, copy in self.copied:
            found[key] = copy()
        return found


class Layouts:
    """Reads tables by the layout of the last one: a program's messages have the same headers, few of which vary."""

    MOST: Final = 64

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], Layout] = {}
        self._last = Layout([])

    def unpack(self, data: bytes, at: int) -> tuple[dict[str, Any], int]:
        """As `unpack_table`."""
        (size,) = _LONG.unpack_from(data, at)
        end = at + 4 + size
        table = data[at + 4 : end]
        found = self._last.read(table)
        if found is None:
            found, _ = unpack_table(data, at)
            self._learn(tuple(found), table)
        return found, end

    def _learn(self, names: tuple[str, ...], table: bytes) -> None:
        known = self._known.get(names)
        if known is not None and known is not self._last:
            self._last = known
        elif known is not None or len(self._known) < self.MOST:
            fields = _fields(table)
            if len(fields) == len(names):  # else a name stands in it twice
                self._last = self._known[names] = Layout(fields) if known is None else known.with_(fields)


_layouts = Layouts()


def _fields(table: bytes) -> list[tuple[str, bytes, bytes]]:
    """Of each field the name, the bytes of the name, those of the value."""
    at, found = 0, []
    while at < len(table):
        key, stop = text(table, at)
        _, end = unpack_value(table, stop)
        found.append((key, table[at:stop], table[stop:end]))
        at = end
    return found


def _nested(value: Any) -> bool:
    """Whether a copy would share something with it that can be changed."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(isinstance(each, (dict, list)) for each in inner)
