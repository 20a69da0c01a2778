"""Listeners in all processes: each has a FIFO in a folder beside the database, into which a writer puts one byte.

A FIFO's name is `topic.pid.random`; it gets that name once its reader is there, so one without a reader is stale.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import time
from collections.abc import Awaitable, Callable

from penstock.core.consumer import Listener

#: a listing younger than this may miss a FIFO made in the same tick of the file system's clock
_TICK = 0.1
#: how often a sleeper asks whether the file has changed without a wake-up: its writer died between commit and wake,
#: or is a stranger
SAFETY_NET = 1.0


class Wakes:
    """The writers' side: finds the listeners of a topic and wakes them."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._stamp = -1  # the folder's mtime when it was read, -1 if that reading cannot be trusted
        self._names: list[str] = []
        self._files: dict[str, int] = {}  # FIFO's name → file descriptor

    def listened(self) -> bool:
        """Whether there is any listener now. `send` relies on this look, which costs a writer without one 2 µs."""
        try:
            stamp = os.stat(self._folder).st_mtime_ns
        except FileNotFoundError:
            return False
        if stamp != self._stamp:
            self._look(stamp)
        return bool(self._names)

    def send(self, topics: set[str]) -> int:
        """Wake every listener of `topics`; return how many."""
        return sum(self._wake(name) for name in self._names if name.partition(".")[0] in topics)

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        self._stamp = -1

    def _look(self, stamp: int) -> None:
        self._names = [name for name in os.listdir(self._folder) if not name.startswith(".")]
        self._stamp = stamp if time.time() - stamp / 1e9 > _TICK else -1
        for name in self._files.keys() - self._names:
            os.close(self._files.pop(name))

    def _wake(self, name: str) -> bool:
        try:
            file = self._files.get(name, -1)
            if file < 0:
                file = self._files[name] = os.open(f"{self._folder}/{name}", os.O_WRONLY | os.O_NONBLOCK)
            os.write(file, b"\0")
        except BlockingIOError:
            return True  # full of earlier wake-ups
        except BrokenPipeError:
            os.close(self._files.pop(name))
            self._stamp = -1  # the next look finds it stale
            return False
        except OSError as error:
            if error.errno == errno.ENXIO:
                self._remove(name)
            return False  # not ours to open: its owner has the safety net
        return True

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(f"{self._folder}/{name}")


class Fifo(Listener):
    """The listener's side. `version` answers a number that changes with the file (the safety net)."""

    def __init__(self, folder: str, topic: str, version: Callable[[], Awaitable[int]], blocking: bool) -> None:
        self._file = -1
        name = f"{topic}.{os.getpid()}.{os.urandom(4).hex()}"
        self._path = f"{folder}/{name}"
        self._version = version
        self._seen: int | None = None
        self._blocking = blocking
        self._sleeper: asyncio.Future[bool] | None = None
        hidden = f"{folder}/.{name}"
        os.mkfifo(hidden)
        # both ends, so that it is never at its end while no writer is there
        self._file = os.open(hidden, os.O_RDWR | os.O_NONBLOCK)
        os.rename(hidden, self._path)

    async def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something watched may have changed (True) or `timeout` seconds have passed (False).

        True at once if it was closed: then nobody would wake the sleeper.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self._drained():
            if self._seen is None:
                self._seen = await self._version()
            left = SAFETY_NET if end is None else min(SAFETY_NET, max(0.0, end - time.monotonic()))
            woken = await self._sleep(left)
            if not woken and await self._changed():
                break
            if not woken and end is not None and time.monotonic() >= end:
                return False
        return True

    def poke(self) -> None:
        """Wake the one who waits here."""
        if self._file >= 0:
            with contextlib.suppress(BlockingIOError):
                os.write(self._file, b"\0")

    async def close(self) -> None:
        """Stop watching. Closing twice is fine."""
        if self._file < 0:
            return
        if self._sleeper is not None and not self._sleeper.done():
            self._sleeper.get_loop().remove_reader(self._file)
            self._sleeper.set_result(True)
        self._remove()

    def __del__(self) -> None:
        self._remove()

    def _remove(self) -> None:
        if self._file >= 0:
            self.forget()
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def forget(self) -> None:
        """Let go and touch nothing else: in a forked child the FIFO and the loop's selector are the parent's."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def _changed(self) -> bool:
        before, self._seen = self._seen, await self._version()
        return before != self._seen

    def _drained(self) -> bool:
        if self._file < 0:
            return True
        try:
            return bool(os.read(self._file, 4096))
        except BlockingIOError:
            return False

    async def _sleep(self, seconds: float) -> bool:
        """Whether there was a wake-up within `seconds`."""
        if self._file < 0:
            return True
        if self._blocking:
            poll = select.poll()
            poll.register(self._file, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        loop = asyncio.get_running_loop()
        sleeper: asyncio.Future[bool] = loop.create_future()
        self._sleeper = sleeper
        loop.add_reader(self._file, _settle, sleeper, True)
        timer = loop.call_later(seconds, _settle, sleeper, False)
        try:
            return await sleeper
        finally:
            timer.cancel()
            if self._file >= 0:
                loop.remove_reader(self._file)


def _settle(sleeper: asyncio.Future[bool], woken: bool) -> None:
    if not sleeper.done():
        sleeper.set_result(woken)
