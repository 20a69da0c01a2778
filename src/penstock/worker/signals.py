"""Signals as something to wait for: their numbers arrive on a socket. For a process without a loop."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence


class Signals:
    """Receives `numbers` from now on."""

    def __init__(self, numbers: Sequence[signal.Signals]) -> None:
        self._here, self._there = socket.socketpair()
        for end in (self._here, self._there):
            end.setblocking(False)
        signal.set_wakeup_fd(self._there.fileno())
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def fileno(self) -> int:
        return self._here.fileno()

    def take(self) -> list[int]:
        """The signals that came since the last look, in their order."""
        try:
            return list(self._here.recv(4096))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Stop listening: in a forked child, before it sets its own handlers."""
        signal.set_wakeup_fd(-1)
        self._here.close()
        self._there.close()
