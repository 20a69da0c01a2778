"""Checks a value against the types of a folder of RAML 1.0 libraries: as much of RAML as Marathon's types use.

Types of libraries that are not in the folder are taken as anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

_BASIC: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
}


class Loader(yaml.SafeLoader):
    """RAML's own tags (`!include`) are read as their text."""


Loader.add_multi_constructor("!", lambda loader, _suffix, node: loader.construct_scalar(node))


class Library:
    """The types of one file, and of those that it uses."""

    def __init__(self, path: Path) -> None:
        read = yaml.load(path.read_text(), Loader)  # noqa: S506 (a SafeLoader)
        self.types: dict[str, Any] = read.get("types", {})
        used = {name: path.with_name(file) for name, file in (read.get("uses") or {}).items()}
        self.used = {name: Library(file) for name, file in used.items() if file.exists()}

    def faults(self, kind: Any, value: object, where: str = "") -> list[str]:
        """What is wrong with `value` as a `kind` (a name, or a declaration)."""
        if isinstance(kind, str):
            return self._named(kind.strip(), value, where)
        found = self._named(kind.get("type", "object" if "properties" in kind else "any"), value, where)
        return found or self._bounds(kind, value, where) + self._inside(kind, value, where)

    def _named(self, kind: str, value: object, where: str) -> list[str]:
        if kind.endswith("[]"):
            return self.faults({"type": "array", "items": kind[:-2]}, value, where)
        choices = [part.strip() for part in kind.strip("()").split("|")]
        if len(choices) > 1:
            tried = [self._named(choice, value, where) for choice in choices]
            return [] if not all(tried) else tried[0]
        library, _, name = kind.rpartition(".")
        if library:
            return self.used[library].faults(name, value, where) if library in self.used else []
        if kind in self.types:
            return self.faults(self.types[kind], value, where)
        basic = _BASIC.get(kind, object)
        wrong = not isinstance(value, basic) or (isinstance(value, bool) and kind in ("integer", "number"))
        return [f"{where}: {value!r} is no {kind}"] if wrong else []

    def _bounds(self, kind: Any, value: Any, where: str) -> list[str]:
        rules: dict[str, Callable[[Any], object]] = {
            "enum": lambda allowed: value in allowed,
            "minimum": lambda least: value >= least,
            "maximum": lambda most: value <= most,
            "minLength": lambda least: len(value) >= least,
            "pattern": lambda pattern: re.search(pattern, value),
            "minItems": lambda least: len(value) >= least,
            "maxItems": lambda most: len(value) <= most,
        }
        return [
            f"{where}: {value!r} breaks {name} {kind[name]}"
            for name, rule in rules.items()
            if name in kind and not rule(kind[name])
        ]

    def _inside(self, kind: Any, value: Any, where: str) -> list[str]:
        if "items" in kind and isinstance(value, list):
            return [
                fault
                for number, item in enumerate(value)
                for fault in self.faults(kind["items"], item, f"{where}[{number}]")
            ]
        declared = kind.get("properties")
        if not declared or not isinstance(value, dict):
            return []
        plain = {name.rstrip("?"): each for name, each in declared.items() if not name.startswith("/")}
        patterns = {name.strip("/"): each for name, each in declared.items() if name.startswith("/")}
        found = [
            f"{where}: {name} is missing"
            for name in declared
            if name in plain and name not in value and "default" not in _mapping(plain[name])
        ]
        for name, item in value.items():
            rule = plain.get(name) or next(
                (each for pattern, each in patterns.items() if re.search(pattern, name)), None
            )
            place = f"{where}.{name}"
            found += [f"{place} is not known"] if rule is None else self.faults(rule, item, place)
        return found


def _mapping(kind: Any) -> dict[str, Any]:
    return kind if isinstance(kind, dict) else {}
