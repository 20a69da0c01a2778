"""Time-ordered ids (UUIDv7, RFC 9562 §5.7): rows that are indexed by id are appended, not scattered."""

from __future__ import annotations

import os
import threading
import time
from uuid import UUID

_BLOCK = 4096  # random bytes a system call: one call serves hundreds of ids


class Ids:
    """A thread-safe source of UUIDv7 strings, strictly rising within one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0  # 48 bits of milliseconds, then 12 bits of counter
        self._random = b""
        self._offset = 0
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """A forked child must not repeat its parent's random bytes."""
        self._lock = threading.Lock()
        self._random = b""
        self._offset = 0

    def new(self) -> str:
        """A new id, 36 characters, e.g. `01936d4e-8c5b-7000-b3f1-6a5a7c1f0e2d`."""
        with self._lock:
            self._last = max(self._last + 1, time.time_ns() // 1_000_000 << 12)
            stamp = self._last
            if self._offset >= len(self._random):
                self._random, self._offset = os.urandom(_BLOCK), 0
            tail = self._random[self._offset : self._offset + 8].hex()
            self._offset += 8
        head = f"{stamp >> 12:012x}"
        variant = "89ab"[int(tail[0], 16) & 3]
        return f"{head[:8]}-{head[8:]}-7{stamp & 0xFFF:03x}-{variant}{tail[1:4]}-{tail[4:]}"


new_id = Ids().new


def id_time(task_id: str) -> float | None:
    """The unix time (seconds) inside a UUIDv7 string; None for any other id."""
    try:
        uuid = UUID(task_id)
    except ValueError:
        return None
    return (uuid.int >> 80) / 1000 if uuid.version == 7 else None
