"""What the tasks of every contender do."""

from __future__ import annotations

import time


def add(x: int, y: int) -> int:
    return x + y


def spin(seconds: float) -> None:
    """Use so much CPU time on this thread, however long that takes."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
