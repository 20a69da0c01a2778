"""The synchronous calls: a thin way from plain code to the one asynchronous implementation.

Where both back ends can be opened so that their coroutines never suspend (SQLite, memory; Redis where it holds both), a
call steps its coroutine on the caller's own thread. Elsewhere one background thread runs an event loop for all callers.
The a-twins use back ends of their own for each event loop, closed when the loop shuts down its asynchronous generators
(asyncio.run does).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, Generic, TypeVar

from penstock.client.backends import Backends
from penstock.client.submit import Submitter

T = TypeVar("T")
Work = Callable[[Submitter], Coroutine[Any, Any, T]]
Connect = Callable[[bool], Backends]  #: takes `blocking`, returns unopened back ends


class Portal:
    """Runs work on an app's back ends, opened at first use, from any thread, loop or forked process."""

    def __init__(self, connect: Connect, *, blocks: bool) -> None:
        self._connect = connect
        self._blocks = blocks
        self._sides = _Sides()
        self._loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _OnLoop] = weakref.WeakKeyDictionary()
        # Collected as garbage it may be anywhere, also inside of what holds a lock: there nothing may be waited for.
        weakref.finalize(self, self._sides.abandon).atexit = False
        _portals.add(self)

    def call(self, work: Work[T], *, waits: bool = False) -> T:
        """Do `work` and return its result; the calling thread is blocked meanwhile.

        On a thread that runs an event loop, a short call (submit, look up) holds the loop up for as long as it takes.
        One that `waits` for a task would keep the loop from ever running that task: RuntimeError.
        """
        if waits and on_loop():
            raise RuntimeError("waiting here would block this thread's event loop; use the a-twin: `await x.aget()`")
        return self._sides.opened(self._open).run(work)

    async def acall(self, work: Work[T]) -> T:
        """Do `work` on the running event loop."""
        loop = asyncio.get_running_loop()
        side = self._loops.get(loop)
        if side is None:
            side = self._loops[loop] = _OnLoop(lambda: Submitter(self._connect(False)))
        return await work(side.submitter or await side.open())

    def attach(self, submitter: Submitter) -> None:
        """Have the a-twins on the running event loop use `submitter`, whose back ends the caller opens and closes."""
        self._loops[asyncio.get_running_loop()] = _OnLoop(lambda: submitter, submitter)

    def close(self) -> None:
        """Close what the synchronous calls have opened; the next call opens it again. Closing twice is fine."""
        self._sides.close()

    async def aclose(self) -> None:
        """Close what the a-twins have opened on the running event loop."""
        side = self._loops.pop(asyncio.get_running_loop(), None)
        if side is not None:
            await side.close()

    def _open(self) -> _Side:
        return _Stepper(self._connect(True)) if self._blocks else _LoopThread(self._connect(False))

    def _renew(self) -> None:
        """In a forked child: threads, loops and connections are the parent's, and must not even be collected here."""
        _inherited.append((self._sides.side, dict(self._loops)))
        self._sides.reset()
        self._loops = weakref.WeakKeyDictionary()


def on_loop() -> bool:
    """Whether this thread is running an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


class _Side(ABC):
    """Opened back ends and a way to run work on them from plain code."""

    @abstractmethod
    def run(self, work: Work[T]) -> T: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def abandon(self) -> None:
        """Close without waiting for anybody; what is not confirmed is published again by a sweep, and dropped."""


class _Sides:
    """The one side of a portal, made under a lock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.side: _Side | None = None

    def opened(self, make: Callable[[], _Side]) -> _Side:
        side = self.side
        if side is None:
            with self.lock:
                side = self.side = self.side or make()
        return side

    def close(self) -> None:
        with self.lock:
            side, self.side = self.side, None
        if side is not None:
            side.close()

    def abandon(self) -> None:
        side, self.side = self.side, None
        if side is not None:
            side.abandon()

    def reset(self) -> None:
        self.lock = threading.Lock()
        self.side = None


class _Stepper(_Side):
    """Steps coroutines on the calling thread: the back ends block instead of suspending."""

    def __init__(self, backends: Backends) -> None:
        self._submitter = Submitter(backends)
        _step(backends.open())

    def run(self, work: Work[T]) -> T:
        return _step(work(self._submitter))

    def close(self) -> None:
        _step(_close(self._submitter))

    def abandon(self) -> None:
        _step(self._submitter.backends.close())


def _step(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as ended:
        found: T = ended.value
        return found
    coroutine.close()
    raise RuntimeError("a back end that was opened to block has suspended")


class _LoopThread(_Side):
    """One thread that runs an event loop for all callers."""

    def __init__(self, backends: Backends) -> None:
        import uvloop  # noqa: PLC0415 - a program whose back ends block never needs it

        self._submitter = Submitter(backends)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="penstock-portal", daemon=True)
        self._thread.start()
        try:
            self._wait(backends.open())
        except BaseException:  # whatever it is, the thread must not be left running
            self._stop()
            raise

    def run(self, work: Work[T]) -> T:
        return self._wait(work(self._submitter))

    def close(self) -> None:
        try:
            self._wait(_close(self._submitter))
        finally:
            self._stop()

    def abandon(self) -> None:
        loop, submitter = self._loop, self._submitter

        def end() -> None:
            loop.create_task(_close(submitter)).add_done_callback(lambda _: loop.stop())

        with contextlib.suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(end)

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        call = _Call(coroutine, self._loop)
        try:
            self._loop.call_soon_threadsafe(call.begin)
            call.ended.acquire()
        except BaseException:  # KeyboardInterrupt above all: nobody waits for the answer any more
            self._loop.call_soon_threadsafe(call.cancel)
            raise
        try:
            assert call.task is not None
            return call.task.result()
        finally:
            del call  # an error that comes out of here holds this frame

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


class _Call(Generic[T]):
    """A coroutine for another thread's loop, and a lock that opens when it has ended.

    asyncio.run_coroutine_threadsafe has two linked futures for this, which cost 15 µs more for every submission.
    """

    __slots__ = ("_coroutine", "_loop", "ended", "task")

    def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> None:
        self._coroutine = coroutine
        self._loop = loop
        self.task: asyncio.Task[T] | None = None
        self.ended = threading.Lock()
        self.ended.acquire()

    def begin(self) -> None:
        """On the loop."""
        self.task = self._loop.create_task(self._coroutine)
        self.task.add_done_callback(lambda _: self.ended.release())

    def cancel(self) -> None:
        """On the loop; it may have ended meanwhile, or never have begun."""
        if self.task is None:
            self._coroutine.close()
        else:
            self.task.cancel()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """On a thread of its own: run the loop until it is stopped."""
    loop.run_forever()
    loop.close()


class _OnLoop:
    """What the a-twins use on one event loop."""

    def __init__(self, make: Callable[[], Submitter], submitter: Submitter | None = None) -> None:
        self.submitter = submitter
        self._make = make
        self._lock = asyncio.Lock()
        self._keeper: AsyncGenerator[Submitter, None] | None = None

    async def open(self) -> Submitter:
        async with self._lock:
            if self.submitter is None:
                keeper = _kept(self._make())
                self.submitter = await anext(keeper)
                self._keeper = keeper
        return self.submitter

    async def close(self) -> None:
        if self._keeper is not None:
            await self._keeper.aclose()


async def _kept(submitter: Submitter) -> AsyncGenerator[Submitter, None]:
    """Open back ends, and close them when this generator is closed: by hand, or by its loop at the end."""
    try:
        await submitter.backends.open()
        yield submitter
    finally:
        await _close(submitter)


async def _close(submitter: Submitter) -> None:
    try:
        await submitter.close()
    finally:
        await submitter.backends.close()


_portals: weakref.WeakSet[Portal] = weakref.WeakSet()
_inherited: list[Any] = []  # a parent's, in a forked child


def _at_exit() -> None:
    for portal in list(_portals):
        portal.close()


atexit.register(_at_exit)


def _after_fork() -> None:
    for portal in list(_portals):
        portal._renew()  # noqa: SLF001 - the module's own hook


with contextlib.suppress(AttributeError):  # there is no fork on every system
    os.register_at_fork(after_in_child=_after_fork)
