"""Talk between the processes of one worker: small dictionaries, a JSON line each, over a socket pair.

The supervisor is the hub; the keeper and every child have one link to it. Nobody ever blocks on a link: what the other
side does not read is kept. The end of a link (EOF) is the death of the process at its other end.
"""

from __future__ import annotations

import socket
from typing import Any

import msgspec

Note = dict[str, Any]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Link:
    """One end. `send` and `receive` never wait; use `fileno` with a selector or a loop."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._unread = b""
        self._unsent = b""
        self.ended = False  #: the other side is gone

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def unsent(self) -> bool:
        """Something waits to be sent: call `flush` when the link is writable."""
        return bool(self._unsent)

    def send(self, note: Note) -> None:
        self._unsent += _encode(note) + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what the other side has room for."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:  # the other side is gone: reading says so too
            self._unsent = b""

    def receive(self) -> list[Note]:
        """What has arrived whole. Sets `ended` at the end."""
        try:
            while data := self._sock.recv(65_536):
                self._unread += data
            self.ended = True
        except BlockingIOError:
            pass
        except OSError:  # reset: the other side died with something unread
            self.ended = True
        *lines, self._unread = self._unread.split(b"\n")
        return [_decode(line) for line in lines]

    def close(self) -> None:
        self._sock.close()


def pair() -> tuple[Link, Link]:
    """Two ends of a new link."""
    here, there = socket.socketpair()
    return Link(here), Link(there)
