"""The interpreter's lock is to be had at once by whoever holds the file's lock.

SQLite gives the interpreter's lock away with each step of a statement. Where another thread computes, it comes back
only after the switch interval of 5 ms, a dozen times a transaction, and every process waits for the file meanwhile.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

AT_ONCE = 0.000_1  #: seconds; less costs threads that compute more than it gains

_lock = threading.Lock()
_inside = 0
_usual = 0.0


@contextmanager
def haste() -> Iterator[None]:
    """Make the interpreter's threads switch at once until the last one that is in here is through."""
    global _inside, _usual  # noqa: PLW0603 - the interval is the interpreter's, so is what is known of it
    with _lock:
        if not _inside:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(AT_ONCE)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                sys.setswitchinterval(_usual)
