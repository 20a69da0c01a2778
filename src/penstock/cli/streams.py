"""Standard streams that whoever started us has closed (`<&-`, `>&-`): Python has None there, and no command asks.

Their descriptors are taken too, so that no socket or database gets the number 1 and is written to by a stray print.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TextIO

from penstock.core.errors import PenstockError


class StandardInputClosed(PenstockError):
    """Something was to be read, and there is no standard input."""


class _Closed(io.RawIOBase):
    """Says so when it is read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:  # noqa: ARG002
        raise StandardInputClosed("standard input is closed; name a FILE, or pipe something in")


def completed() -> None:
    """What is written to a closed output is dropped; reading a closed input raises StandardInputClosed."""
    if sys.stdin is None:
        _take(0)
        sys.stdin = io.TextIOWrapper(io.BufferedReader(_Closed()))
    sys.stdout = sys.stdout or _dropping(1)
    sys.stderr = sys.stderr or _dropping(2)


def _dropping(descriptor: int) -> TextIO:
    _take(descriptor)
    return open(descriptor, "w", encoding="utf-8", closefd=False)


def _take(descriptor: int) -> None:
    """Open the null device under this number."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
