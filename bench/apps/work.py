"""What the tasks of every contender do."""

from __future__ import annotations

import os
import time


def add(x: int, y: int) -> int:
    return x + y


def spin(seconds: float) -> bool:
    """Use so much CPU time on this thread, however long that takes."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass
    return True  # there are those that keep no result that is None


def mark(number: int) -> int:
    """Leave a line in the folder of the measurement: the lines tell which task ran, and how often."""
    file = os.open("marks", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        os.write(file, b"%d\n" % number)
    finally:
        os.close(file)
    return number
