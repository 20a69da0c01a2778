"""A store in this process's memory, for tests: the same steps and wake-ups as a server's, nothing durable.

Stores live as long as the process, by the name in the URL (`memory://orders`).
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from penstock.core.checkup import Finding
from penstock.core.consumer import Listener
from penstock.core.errors import ConfigurationError
from penstock.core.step import Driver, Step

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


class Table(MutableMapping[K, V]):
    """Rows by key. A value is never changed in place, it is replaced: that is what makes a rollback whole.

    The order of iteration means nothing: a rollback does not restore it.
    """

    def __init__(self, undo: Callable[[Callable[[], None]], None]) -> None:
        self._rows: dict[K, V] = {}
        self._undo = undo

    def __getitem__(self, key: K) -> V:
        return self._rows[key]

    def __setitem__(self, key: K, value: V) -> None:
        self._remember(key)
        self._rows[key] = value

    def __delitem__(self, key: K) -> None:
        self._remember(key)
        del self._rows[key]

    def __iter__(self) -> Iterator[K]:
        return iter(list(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    def _remember(self, key: K) -> None:
        if key in self._rows:
            before = self._rows[key]
            self._undo(lambda: self._rows.__setitem__(key, before))
        else:
            self._undo(lambda: self._rows.__delitem__(key) if key in self._rows else None)


class Store:
    """All that is kept under one name: tables, other parts, and who listens."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.listeners: dict[str, set[Bell]] = {}
        self._tables: dict[str, Table[Any, Any]] = {}
        self._parts: dict[str, Any] = {}
        self._log: list[Callable[[], None]] = []

    def table(self, name: str) -> Table[Any, Any]:
        """The table of that name, empty at first."""
        return self._tables.setdefault(name, Table(self.undo))

    def part(self, name: str, make: Callable[[], T]) -> T:
        """Something else that a part keeps here; it calls `undo` for what must not outlive a rollback."""
        if name not in self._parts:
            self._parts[name] = make()
        found: T = self._parts[name]
        return found

    def undo(self, action: Callable[[], None]) -> None:
        """Have `action` called if the steps that run now fail; the last one registered is called first."""
        self._log.append(action)

    def transact(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """Run `steps`, all or nothing."""
        with self.lock:
            try:
                return [step.work(self) for step in steps]
            except BaseException:  # whatever stopped a step: nothing of it stays
                while self._log:
                    self._log.pop()()
                raise
            finally:
                self._log.clear()

    def wake(self, topics: set[str]) -> None:
        """Ring for everybody who listens to `topics`."""
        with self.lock:
            bells = [bell for topic in topics for bell in self.listeners.get(topic, ())]
        for bell in bells:
            bell.poke()


class Bell(Listener):
    """A listener in this process, in any thread or loop."""

    def __init__(self, store: Store, topic: str, blocking: bool) -> None:
        self._store = store
        self._topic = topic
        self._blocking = blocking
        self._rung = threading.Event()
        self._sleeper: asyncio.Future[None] | None = None
        with store.lock:
            store.listeners.setdefault(topic, set()).add(self)

    async def wait(self, timeout: float | None = None) -> bool:
        """Sleep until something may have changed (True) or `timeout` seconds have passed (False)."""
        if self._blocking:
            self._rung.wait(timeout)
        elif not self._rung.is_set():
            await self._sleep(timeout)
        rung = self._rung.is_set()
        self._rung.clear()
        return rung

    def poke(self) -> None:
        """Wake the one who waits here. Callable from any thread."""
        self._rung.set()
        sleeper = self._sleeper
        if sleeper is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: nobody sleeps
                sleeper.get_loop().call_soon_threadsafe(_wake, sleeper)

    async def close(self) -> None:
        """Stop listening. Closing twice is fine."""
        with self._store.lock:
            self._store.listeners[self._topic].discard(self)

    async def _sleep(self, timeout: float | None) -> None:
        loop = asyncio.get_running_loop()
        sleeper = self._sleeper = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, _wake, sleeper)
        try:
            if not self._rung.is_set():  # it may have rung before it could see the sleeper
                await sleeper
        finally:
            self._sleeper = None
            if timer is not None:
                timer.cancel()


def _wake(sleeper: asyncio.Future[None]) -> None:
    if not sleeper.done():
        sleeper.set_result(None)


class Memory(Driver):
    """One way into a store. Usable from any thread and loop of this process."""

    composes = True

    def __init__(self, name: str = "", *, blocking: bool = False, clock: Callable[[], float] = time.time) -> None:
        self.blocking = blocking
        self.clock = clock
        self.store = _stores.setdefault(name, Store())

    def write(self, fn: Callable[[Store], T], wakes: str = "") -> Step[T]:
        """A step that runs `fn`, then wakes the listeners of `wakes` (topics parted by blanks)."""
        return Step(self, fn, wakes)

    def read(self, fn: Callable[[Store], T]) -> Step[T]:
        """A step that changes nothing."""
        return Step(self, fn)

    def listen(self, topic: str) -> Bell:
        """A listener that wakes after steps with this topic."""
        return Bell(self.store, topic, self.blocking)

    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        """Run `steps` in order, all or nothing."""
        results = self.store.transact(steps)
        topics = {topic for step in steps if step.wakes for topic in step.wakes.split()}
        if topics:
            self.store.wake(topics)
        return results

    async def open(self) -> None:
        """Nothing is to be prepared."""

    async def examine(self) -> list[Finding]:
        return [Finding("durability", "weak", "everything is gone when this process ends: memory:// is for tests")]

    async def close(self) -> None:
        """The store stays: it is the process's."""


_stores: dict[str, Store] = {}


def forget(name: str) -> None:
    """Drop a store; whoever has a driver on it keeps what was there."""
    _stores.pop(name, None)


def open_driver(
    url: str, *, settings: Any = None, blocking: bool = False, clock: Callable[[], float] = time.time
) -> Memory:
    """A driver for `memory://name`; the name may be missing. Raises ConfigurationError for anything else."""
    del settings  # none of them is about memory; the signature is every driver's
    parts = urlsplit(url)
    if parts.scheme != "memory" or parts.path.strip("/") or parts.query:
        raise ConfigurationError(f"{url!r}: write memory:// or memory://name, without options")
    return Memory(parts.netloc, blocking=blocking, clock=clock)
