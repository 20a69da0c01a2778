"""The timer behind time limits."""

from __future__ import annotations

from penstock.worker.job import Job
from penstock.worker.limits import Limits
from tests.unit.worker.parts import Clock, a_job


class Watched:
    """Limits with a set clock, looked at by hand, and what they told."""

    def __init__(self) -> None:
        self.clock = Clock(100.0)
        self.told: list[tuple[str, Job]] = []
        self.limits = Limits(
            lambda job: self.told.append(("soft", job)), lambda job: self.told.append(("hard", job)), self.clock
        )

    def job(self, soft: float, hard: float, begun: float = 100.0) -> Job:
        job = a_job()
        job.soft, job.hard, job.begun = soft, hard, begun
        self.limits.watch(job)
        return job

    def at(self, now: float) -> list[str]:
        self.clock.now = now
        self.limits.check()
        told, self.told = [kind for kind, _ in self.told], []
        return told


async def test_a_job_is_told_of_its_soft_limit_and_then_of_its_hard_one_once_each() -> None:
    watched = Watched()
    watched.job(soft=1.0, hard=3.0)
    assert watched.at(100.9) == []
    assert watched.at(101.0) == ["soft"]
    assert watched.at(102.0) == []
    assert watched.at(103.0) == ["hard"]
    assert watched.at(110.0) == []


async def test_the_time_of_a_job_that_waits_does_not_count() -> None:
    watched = Watched()
    job = watched.job(soft=1.0, hard=2.0, begun=0.0)
    assert watched.at(150.0) == []
    job.begun = 150.0
    assert watched.at(151.5) == ["soft"]
    assert watched.at(152.5) == ["hard"]


async def test_a_job_whose_code_came_back_is_left_alone() -> None:
    watched = Watched()
    job = watched.job(soft=1.0, hard=2.0)
    watched.limits.forget(job)
    assert watched.at(200.0) == []


async def test_both_limits_passed_in_one_look_is_the_hard_one() -> None:
    watched = Watched()
    watched.job(soft=1.0, hard=2.0)
    assert watched.at(105.0) == ["hard"]
