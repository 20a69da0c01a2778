"""The synchronous calls, from plain code, from event loops, from threads, after a fork."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import gc
import signal
import threading
import uuid
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.client.portal import Portal
from penstock.client.submit import Submitter
from penstock.core.errors import Unavailable


class Watched(Backends):
    """Back ends in memory that tell what is done to them."""

    def __init__(self, blocking: bool, log: list[str], fail: bool = False) -> None:
        made = Penstock("test", broker=f"memory://{uuid.uuid4().hex}").backends(blocking=blocking)
        super().__init__(made.broker, made.results, blocking=blocking)
        self.log = log
        self.fail = fail

    async def open(self) -> None:
        self.log.append("open")
        if self.fail:
            raise Unavailable("down")

    async def close(self) -> None:
        self.log.append("close")


class Made:
    """A portal, and what happened to its back ends."""

    def __init__(self, *, blocks: bool) -> None:
        self.log: list[str] = []
        self.down = False
        self.portal = Portal(self.connect, blocks=blocks)

    def connect(self, blocking: bool) -> Backends:
        return Watched(blocking, self.log, self.down)


async def ping(submitter: Submitter) -> str:
    await submitter.backends.broker.ping()
    return threading.current_thread().name


async def suspend(_: Submitter) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("blocks", [True, False])
def test_back_ends_are_opened_by_the_first_call_and_closed_once(blocks: bool) -> None:
    made = Made(blocks=blocks)
    assert made.log == []
    made.portal.call(ping)
    made.portal.call(ping)
    assert made.log == ["open"]
    made.portal.close()
    made.portal.close()
    assert made.log == ["open", "close"]
    made.portal.call(ping)
    made.portal.close()
    assert made.log == ["open", "close"] * 2


def test_where_back_ends_can_block_the_callers_own_thread_does_the_work() -> None:
    made = Made(blocks=True)
    assert made.portal.call(ping) == threading.current_thread().name


def test_elsewhere_one_thread_with_a_loop_does_it() -> None:
    made = Made(blocks=False)
    assert made.portal.call(ping) == "penstock-portal"
    made.portal.call(suspend)
    made.portal.close()
    assert "penstock-portal" not in {thread.name for thread in threading.enumerate()}


def test_a_back_end_that_suspends_where_it_should_block_is_found_out() -> None:
    with pytest.raises(RuntimeError, match="has suspended"):
        Made(blocks=True).portal.call(suspend)


@pytest.mark.parametrize("blocks", [True, False])
async def test_a_short_call_works_on_an_event_loop_and_one_that_waits_is_refused(blocks: bool) -> None:
    made = Made(blocks=blocks)
    made.portal.call(ping)
    with pytest.raises(RuntimeError, match="a-twin"):
        made.portal.call(ping, waits=True)
    made.portal.close()


@pytest.mark.parametrize("blocks", [True, False])
def test_errors_come_through(blocks: bool) -> None:
    async def fail(_: Submitter) -> None:
        raise KeyError("k")

    made = Made(blocks=blocks)
    with pytest.raises(KeyError):
        made.portal.call(fail)
    made.portal.close()


def test_a_call_that_is_interrupted_ends_its_work() -> None:
    ended = threading.Event()

    async def wait(_: Submitter) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()
            raise

    made = Made(blocks=False)
    with pytest.raises(KeyboardInterrupt):
        made.portal.call(wait)
    assert ended.wait(5.0)
    made.portal.close()


def test_an_error_that_came_through_leaves_no_cycle_behind() -> None:
    class Known(Exception):
        pass

    async def fail(_: Submitter) -> None:
        raise Known

    made = Made(blocks=False)
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(Known) as caught:
            made.portal.call(fail)
        found = weakref.ref(caught.value)
        del caught
        made.portal.call(ping)
        assert found() is None
    finally:
        gc.enable()
        made.portal.close()


@pytest.mark.parametrize("blocks", [True, False])
def test_back_ends_that_cannot_be_opened_are_tried_again_by_the_next_call(blocks: bool) -> None:
    made = Made(blocks=blocks)
    made.down = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            made.portal.call(ping)
    made.down = False
    made.portal.call(ping)
    made.portal.close()
    assert made.log == ["open", "open", "open", "close"]
    assert "penstock-portal" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("blocks", [True, False])
def test_threads_share_what_the_first_one_opens(blocks: bool) -> None:
    made = Made(blocks=blocks)
    together = threading.Barrier(8)

    def call() -> None:
        together.wait()
        made.portal.call(ping)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: call(), range(8)))
    made.portal.close()
    assert made.log == ["open", "close"]


@pytest.mark.parametrize("blocks", [True, False])
def test_what_is_open_is_closed_when_the_portal_is_forgotten(blocks: bool) -> None:
    made = Made(blocks=blocks)
    made.portal.call(ping)
    log, gone = made.log, weakref.ref(made.portal)
    del made
    gc.collect()
    assert gone() is None
    for thread in threading.enumerate():
        if thread.name == "penstock-portal":  # nobody waits for it but us
            thread.join(30)
    assert log == ["open", "close"]


def test_forgotten_amid_a_lock_that_closing_needs_nobody_waits_for_ever() -> None:
    """Garbage is collected anywhere, e.g. while a pool of threads starts one, and holds the lock of all pools."""
    made = Made(blocks=False)

    async def in_a_pool(_: Submitter) -> None:
        await asyncio.get_running_loop().run_in_executor(None, threading.get_ident)

    closed = threading.Event()

    class Pooled(Watched):
        async def close(self) -> None:
            await in_a_pool(Submitter(self))
            closed.set()

    made.portal = Portal(lambda blocking: Pooled(blocking, made.log), blocks=False)
    made.portal.call(ping)
    with concurrent.futures.thread._global_shutdown_lock:
        del made.portal
        gc.collect()
    assert closed.wait(30)


def test_the_a_twins_open_once_a_loop_and_close_when_the_loop_ends() -> None:
    made = Made(blocks=True)

    async def several() -> None:
        await asyncio.gather(*(made.portal.acall(ping) for _ in range(5)))
        await made.portal.acall(suspend)
        assert made.log[-1] == "open"

    asyncio.run(several())
    assert made.log == ["open", "close"]
    asyncio.run(several())
    assert made.log == ["open", "close"] * 2


async def test_the_a_twins_can_be_closed_by_hand() -> None:
    made = Made(blocks=True)
    await made.portal.acall(ping)
    await made.portal.aclose()
    await made.portal.aclose()
    assert made.log == ["open", "close"]


async def test_a_loops_own_back_ends_can_be_attached() -> None:
    made, own = Made(blocks=True), Submitter(Watched(False, []))
    made.portal.attach(own)

    async def same(submitter: Submitter) -> bool:
        return submitter is own

    assert await made.portal.acall(same)
    await made.portal.aclose()
    assert made.log == []


@pytest.mark.parametrize("blocks", [True, False])
def test_a_forked_child_opens_its_own_even_if_the_fork_came_in_the_middle(blocks: bool) -> None:
    made = Made(blocks=blocks)
    made.portal.call(ping)
    parents: Any = made.portal._sides.side
    with made.portal._sides.lock:  # another thread of the parent held it
        made.portal._renew()
    made.portal.call(ping)
    assert made.log == ["open", "open"]
    made.portal.close()
    parents.close()
