"""Code that no interrupt may tear apart: what holds a lock that others wait for, a transaction above all.

A worker interrupts a task at its time limit by raising an exception in the middle of whatever the task's thread does.
If that is a submission, the transaction would stay open and no process could write any more. So whoever interrupts
looks here first: a thread that is `inside` is not struck, but owed the exception, and raises it at the end.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

inside: set[int] = set()  #: identities of threads
owed: dict[int, type[BaseException]] = {}  #: by thread, the exception that it has to raise


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep interrupts of this thread out until the end; one that came meanwhile is raised then. Not to be nested."""
    thread = threading.get_ident()
    try:
        inside.add(thread)
        yield
    finally:
        inside.discard(thread)
        error = owed.pop(thread, None)
        if error is not None:
            raise error
