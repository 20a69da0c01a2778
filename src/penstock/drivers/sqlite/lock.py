"""Processes take turns at writing: a lock on a file beside the database, whose waiters the kernel wakes in line.

SQLite's own write lock is polled with growing pauses, so that a busy process starves the others.
"""

from __future__ import annotations

import fcntl
import os
import threading

_AT_ONCE = fcntl.LOCK_EX | fcntl.LOCK_NB


class FileLock:
    """An exclusive lock between processes. Used by one thread at a time; released by the kernel if the process dies."""

    def __init__(self, path: str, mode: int = 0o666) -> None:
        self.path = path
        self._mode = mode
        self._file = -1
        self._line: _Line | None = None

    def take(self) -> bool:
        """Take the lock if nobody has it. Raises OSError where the lock file cannot be made."""
        if self._file < 0:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, self._mode)
        try:
            fcntl.flock(self._file, _AT_ONCE)
        except BlockingIOError:
            return False
        return True

    def wait(self, seconds: float) -> bool:
        """Stand in line for at most `seconds`, after `take` was in vain; True once the lock is held."""
        if self._line is None:
            self._line = _Line(self._file)
        return self._line.wait(seconds)

    def release(self) -> None:
        """Let the next one in."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file. The next acquire opens it again."""
        if self._line is not None:
            self._line.leave()
        elif self._file >= 0:
            os.close(self._file)
        self._file, self._line = -1, None

    def forget(self) -> None:
        """In a forked child: the open file is the parent's too, and would keep its lock beyond its death."""
        if self._file >= 0:
            os.close(self._file)
        self._file, self._line = -1, None


class _Line:
    """A thread that stands in line, because a wait in flock(2) cannot be given up."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._state = threading.Condition()
        self._wanted = False
        self._held = False
        self._left = False
        threading.Thread(target=self._stand, name="penstock-sqlite-lock", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        with self._state:
            self._wanted = True
            self._state.notify_all()
            self._state.wait_for(lambda: self._held, seconds)
            held, self._held, self._wanted = self._held, False, False
            return held

    def leave(self) -> None:
        with self._state:
            self._left = True
            self._state.notify_all()

    def _stand(self) -> None:
        while self._called():
            fcntl.flock(self._file, fcntl.LOCK_EX)
            with self._state:
                if self._wanted:
                    self._held, self._wanted = True, False
                    self._state.notify_all()
                else:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
        os.close(self._file)

    def _called(self) -> bool:
        with self._state:
            self._state.wait_for(lambda: self._wanted or self._left)
            return not self._left
