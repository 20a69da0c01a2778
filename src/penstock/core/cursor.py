"""Cursors of listings that walk a rising number: opaque to their users, the last number seen to a back end. Pure."""

from __future__ import annotations

import re

#: no more digits than fit a signed 64-bit number, the widest that every store knows
PATTERN = r"^[0-9]{1,18}$"
_CURSOR = re.compile(PATTERN)


def position(cursor: str | None) -> int | None:
    """The number in a cursor; None for none. Raises ValueError for a cursor that is not one."""
    if cursor is None:
        return None
    if not _CURSOR.fullmatch(cursor):
        raise ValueError("not a cursor that a list of this kind has given")
    return int(cursor)


def checked(cursor: str) -> str:
    """The cursor itself. Raises ValueError for one that is none."""
    position(cursor)
    return cursor
