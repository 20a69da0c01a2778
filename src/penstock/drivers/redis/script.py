"""The script of a commit, put together from the functions that it needs.

A script's functions are made anew in every call, and a hundred of them cost the server more than a small commit does.
So each kind of commit (the set of its guards and steps) has a script of its own: `commit.lua` with these functions and
what they need of their parts.
"""

from __future__ import annotations

import hashlib
import pkgutil
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

#: how a guard, a step or a function for these begins; it ends with its line, or with an `end` at the margin
_BEGINS = re.compile(r"(?:function (?:steps|guards)\.|local function )(\w+)\(")
_WORD = re.compile(r"\w+")


class Script:
    """All scripts of one driver, by what they are to do."""

    def __init__(self, prefix: str, channel: str) -> None:
        self.texts: dict[str, str] = {}  #: hash → text
        self._head = f"local K, C = {_quoted(prefix)}, {_quoted(channel)}\n"
        self._parts: dict[str, list[_Piece]] = {}
        self._shas: dict[frozenset[str], str] = {}
        self._frame = _read("penstock.drivers.redis", "commit.lua")

    def require(self, package: str, path: str) -> None:
        """Have the functions of a part's Lua file at hand. Its local names meet those of no other part."""
        self._parts[f"{package}/{path}"] = _taken_apart(_read(package, path))
        self._shas.clear()

    def sha(self, names: Iterable[str]) -> str:
        """The hash of the script with these guards and steps."""
        wanted = frozenset(names)
        found = self._shas.get(wanted)
        if found is None:
            text = self._text(wanted)
            found = self._shas[wanted] = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
            self.texts[found] = text
        return found

    def _text(self, wanted: frozenset[str]) -> str:
        parts = (_chosen(self._parts[name], wanted) for name in sorted(self._parts))
        return self._head + self._frame.replace("--PARTS--", "\n".join(filter(None, parts)))


@dataclass(slots=True)
class _Piece:
    """Some lines of a part: a function of its own, or what stands between two (`name` is "")."""

    name: str = ""
    local: bool = True  #: not a guard or a step
    lines: list[str] = field(default_factory=list)


def _taken_apart(text: str) -> list[_Piece]:
    """The pieces of a part, in order."""
    pieces = [_Piece()]
    for line in text.splitlines():
        if begins := _BEGINS.match(line):
            pieces.append(_Piece(begins[1], line.startswith("local")))
        if not line.startswith("--"):
            pieces[-1].lines.append(line)
        if pieces[-1].name and (line == "end" or (begins and line.endswith(" end"))):
            pieces.append(_Piece())
    return pieces


def _chosen(pieces: Sequence[_Piece], wanted: frozenset[str]) -> str:
    """A part with the guards and steps that are wanted and what they need; "" if none of them is here.

    What a function needs stands before it, so the walk is from the end.
    """
    if not any(piece.name in wanted for piece in pieces if not piece.local):
        return ""
    chosen: list[str] = ["end"]
    words: set[str] = set()
    for piece in reversed(pieces):
        if not piece.name or piece.name in (words if piece.local else wanted):
            chosen += reversed(piece.lines)
            words.update(*map(_WORD.findall, piece.lines))
    return "\n".join(("do", *reversed(chosen)))


def _read(package: str, path: str) -> str:
    data = pkgutil.get_data(package, path)
    assert data is not None, f"{path} in {package}"
    return data.decode()


def _quoted(text: str) -> str:
    """A Lua string of these bytes."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'
