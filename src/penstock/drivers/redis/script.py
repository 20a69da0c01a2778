"""The script of a commit, put together from the functions that it needs.

A script's functions are made anew in every call, and a hundred of them cost the server more than a small commit does.
So each kind of commit (the set of its guards and steps) has a script of its own: `commit.lua` with these functions and
the locals of their parts.
"""

from __future__ import annotations

import hashlib
import pkgutil
import re
from collections.abc import Iterable

#: how a guard or step begins; it ends with its line, or with an `end` at the margin
_BEGINS = re.compile(r"function (?:steps|guards)\.(\w+)\(")


class Script:
    """All scripts of one driver, by what they are to do."""

    def __init__(self, prefix: str, channel: str) -> None:
        self.texts: dict[str, str] = {}  #: hash → text
        self._head = f"local K, C = {_quoted(prefix)}, {_quoted(channel)}\n"
        self._parts: dict[str, tuple[str, dict[str, str]]] = {}
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
        parts = []
        for rest, functions in (self._parts[name] for name in sorted(self._parts)):
            if mine := [text for name, text in functions.items() if name in wanted]:
                parts.append("\n".join(("do", rest, *mine, "end")))
        return self._head + self._frame.replace("--PARTS--", "\n".join(parts))


def _taken_apart(text: str) -> tuple[str, dict[str, str]]:
    """What a part keeps to itself, and its guards and steps by name."""
    rest: list[str] = []
    functions: dict[str, list[str]] = {}
    lines = rest
    for line in text.splitlines():
        if begins := _BEGINS.match(line):
            lines = functions.setdefault(begins[1], [])
        if not line.startswith("--"):
            lines.append(line)
        if line == "end" or (begins and line.endswith(" end")):
            lines = rest
    return "\n".join(rest), {name: "\n".join(found) for name, found in functions.items()}


def _read(package: str, path: str) -> str:
    data = pkgutil.get_data(package, path)
    assert data is not None, f"{path} in {package}"
    return data.decode()


def _quoted(text: str) -> str:
    """A Lua string of these bytes."""
    return '"' + "".join(f"\\{byte:03d}" for byte in text.encode()) + '"'
