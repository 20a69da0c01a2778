"""The version of Penstock that is installed."""

from __future__ import annotations

from functools import cache
from importlib import import_module


@cache
def version() -> str:
    """Looked up when it is first asked for: importing the standard library's way to it takes long."""
    found: str = import_module("importlib.metadata").version("penstock")
    return found
