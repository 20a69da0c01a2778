"""How much of everything is done: SCALE=0.01 tries the bench itself in minutes; its figures then mean nothing."""

from __future__ import annotations

import os

SCALE = float(os.environ.get("SCALE") or 1)


def scaled(count: int, least: int = 1) -> int:
    """So many tasks, or what SCALE leaves of them."""
    return max(least, round(count * SCALE))
