"""SQL lives in files: loads one into a mapping from name to statement. Touches package data only."""

from __future__ import annotations

import pkgutil
import re

_SECTION = re.compile(r"^-- name: *(\w+)$", re.MULTILINE)


def load(package: str, path: str) -> dict[str, str]:
    """The statements of a package's SQL file by the names in its `-- name: claim` lines."""
    data = pkgutil.get_data(package, path)
    if data is None:
        raise FileNotFoundError(f"{path} in {package}")
    _, *parts = _SECTION.split(data.decode())
    return {name: text.strip().rstrip(";") for name, text in zip(parts[::2], parts[1::2], strict=True)}


def split(text: str) -> list[str]:
    """The single statements of a section that holds several, e.g. a schema."""
    return [statement.strip() for statement in text.split(";\n") if statement.strip()]
