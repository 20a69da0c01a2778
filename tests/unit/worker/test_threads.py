"""The pool for plain functions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

from penstock.core.errors import SoftTimeLimitExceeded
from penstock.worker.job import Job, Terminated
from penstock.worker.threads import Threads
from tests.unit.worker.parts import a_job, soon


class Pooled:
    """A pool and what came back from it."""

    def __init__(self, slots: int, run: Callable[[Job], object]) -> None:
        self.back: list[Job] = []
        self.run = run
        self.pool = Threads(slots, self.one, self.ended)

    def one(self, job: Job) -> None:
        self.run(job)

    def ended(self, jobs: Sequence[Job]) -> None:
        assert threading.current_thread() is threading.main_thread()
        self.back += jobs


async def test_every_job_comes_back_once() -> None:
    ran: list[Job] = []
    pooled = Pooled(4, ran.append)
    jobs = [a_job(seconds=0.000_01) for _ in range(1000)]
    for start in range(0, 1000, 100):
        pooled.pool.submit(jobs[start : start + 100])
        await asyncio.sleep(0)
    await soon(lambda: len(pooled.back) == 1000)
    assert set(pooled.back) == set(ran) == set(jobs)
    assert pooled.pool.busy == 0
    pooled.pool.stop()


async def test_quick_jobs_are_run_by_one_thread_in_their_order() -> None:
    ran: list[tuple[int, Job]] = []
    pooled = Pooled(8, lambda job: ran.append((threading.get_ident(), job)))
    jobs = [a_job(seconds=0.000_01) for _ in range(100)]
    pooled.pool.submit(jobs)
    await soon(lambda: len(pooled.back) == 100)
    assert [job for _, job in ran] == jobs
    assert len(pooled.pool.threads) == 1
    pooled.pool.stop()


async def test_slow_and_unknown_jobs_run_beside_each_other() -> None:
    together = threading.Barrier(4, timeout=5.0)
    pooled = Pooled(4, lambda _: together.wait())
    pooled.pool.submit([a_job(), a_job(seconds=1.0), a_job(), a_job(seconds=1.0)])
    await soon(lambda: len(pooled.back) == 4)
    assert not together.broken
    pooled.pool.stop()


async def test_a_job_that_is_slow_against_all_experience_does_not_hold_up_the_others() -> None:
    gate = threading.Event()
    pooled = Pooled(2, lambda job: job is stuck and gate.wait(5.0))
    stuck, *others = jobs = [a_job(seconds=0.000_01) for _ in range(10)]
    pooled.pool.submit(jobs)
    await soon(lambda: len(pooled.back) == 9)
    assert set(pooled.back) == set(others)
    gate.set()
    await soon(lambda: len(pooled.back) == 10)
    pooled.pool.stop()


async def test_no_more_run_at_once_than_there_are_slots() -> None:
    lock, gate = threading.Lock(), threading.Event()
    inside, most = 0, 0

    def run(_: Job) -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        gate.wait(5.0)
        with lock:
            inside -= 1

    pooled = Pooled(3, run)
    pooled.pool.submit([a_job() for _ in range(10)])
    await soon(lambda: most == 3)
    gate.set()
    await soon(lambda: len(pooled.back) == 10)
    assert most == 3
    pooled.pool.stop()


async def test_what_waits_can_be_taken_back_and_does_not_run() -> None:
    gate, ran = threading.Event(), []

    def run(job: Job) -> None:
        ran.append(job)
        gate.wait(5.0)

    pooled = Pooled(1, run)
    first, old, new, last = (a_job(received=received) for received in (1.0, 2.0, 3.0, 3.0))
    pooled.pool.submit([first, old, new, last])
    await soon(lambda: ran == [first])
    assert pooled.pool.withdraw(2.5) == [old]
    assert pooled.pool.remove(last)
    assert not pooled.pool.remove(first)
    assert pooled.pool.busy == 2
    gate.set()
    await soon(lambda: len(pooled.back) == 2)
    assert ran == [first, new]
    pooled.pool.stop()


async def test_an_interrupt_is_raised_in_the_jobs_own_code() -> None:
    begun: list[Job] = []

    def run(job: Job) -> None:
        begun.append(job)
        try:
            while True:
                pass
        except SoftTimeLimitExceeded as error:
            job.error = error

    pooled = Pooled(1, run)
    job = a_job()
    pooled.pool.submit([job])
    await soon(lambda: begun)
    assert job.runner is not None
    job.runner.interrupt(job, SoftTimeLimitExceeded)
    await soon(lambda: pooled.back == [job])
    assert isinstance(job.error, SoftTimeLimitExceeded)
    pooled.pool.stop()


async def test_an_interrupt_never_strikes_a_later_job() -> None:
    """Interrupts fall at every moment of many short jobs; each job ends, and with no interrupt but its own."""
    pooled = Pooled(1, lambda _: sum(range(200)))
    jobs = [a_job(seconds=0.000_01) for _ in range(2000)]
    pooled.pool.submit(jobs)
    struck = []
    while len(pooled.back) < len(jobs):
        for job in jobs[len(pooled.back) :][:3]:
            if job.runner is not None and job.interrupt is None:
                job.runner.interrupt(job, Terminated)
                struck.append(job)
        await asyncio.sleep(0)
    assert len(pooled.back) == len(set(pooled.back)) == len(jobs)
    assert {job for job in jobs if job.error is not None} <= set(struck)
    pooled.pool.stop()
