"""The pool for coroutine functions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from penstock.core.errors import SoftTimeLimitExceeded
from penstock.worker.coroutines import Coroutines, Interruptible
from penstock.worker.job import Job, Terminated
from tests.unit.worker.parts import a_job, soon, turns


async def test_at_most_so_many_run_at_once_and_the_others_follow_in_order() -> None:
    gate = asyncio.Event()
    begun: list[Job] = []
    back: list[Job] = []

    async def run(job: Job) -> None:
        begun.append(job)
        await gate.wait()

    pool = Coroutines(3, run, back.extend)
    jobs = [a_job(is_async=True) for _ in range(7)]
    pool.submit(jobs)
    await turns()
    assert begun == jobs[:3]
    gate.set()
    await soon(lambda: len(back) == 7)
    assert begun == jobs
    assert pool.busy == 0


async def test_those_that_end_together_are_told_together() -> None:
    told: list[Sequence[Job]] = []

    async def run(_: Job) -> None:
        await asyncio.sleep(0)

    pool = Coroutines(100, run, told.append)
    pool.submit([a_job(is_async=True) for _ in range(100)])
    await soon(lambda: told)
    await turns()
    assert [len(jobs) for jobs in told] == [100]


async def interrupted(body: Any, error: type[BaseException]) -> Any:
    """Run `body` in an asyncio task of its own, interrupt it at its await, and return how it ended."""
    job = a_job(is_async=True)
    inside: list[Interruptible] = []

    async def run() -> Any:
        inside.append(Interruptible(body()))
        return await inside[0]

    task = asyncio.create_task(run())
    await turns()
    inside[0].interrupt(job, error)
    return await task


async def test_any_exception_can_be_raised_at_the_await() -> None:
    async def body() -> str:
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            await asyncio.sleep(0)
            return "cleaned up"
        return "undisturbed"

    assert await interrupted(body, SoftTimeLimitExceeded) == "cleaned up"


async def test_it_is_raised_at_the_innermost_await_and_passes_outwards() -> None:
    seen = []

    async def inner() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append("inner")

    async def body() -> None:
        try:
            await asyncio.gather(inner(), inner())
        finally:
            seen.append("outer")

    with pytest.raises(SoftTimeLimitExceeded):
        await interrupted(body, SoftTimeLimitExceeded)
    await turns()
    assert sorted(seen) == ["inner", "inner", "outer"]


async def test_termination_comes_as_a_cancellation() -> None:
    async def body() -> None:
        await asyncio.sleep(60)

    with pytest.raises(asyncio.CancelledError):
        await interrupted(body, Terminated)


async def test_after_a_soft_limit_timeouts_work_as_before() -> None:
    async def body() -> str:
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.sleep(60)
            except TimeoutError:
                return "timed out"
        return "?"

    assert await interrupted(body, SoftTimeLimitExceeded) == "timed out"


async def test_values_and_errors_pass_through() -> None:
    async def value() -> int:
        await asyncio.sleep(0)
        return 7

    async def error() -> None:
        await asyncio.sleep(0)
        raise KeyError("x")

    assert await Interruptible(value()) == 7
    with pytest.raises(KeyError):
        await Interruptible(error())


async def test_any_awaitable_will_do() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    future.set_result(3)
    assert await Interruptible(future) == 3
