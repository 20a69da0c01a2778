"""Suspects begin one at a time, so that a crash tells who did it."""

from __future__ import annotations

from penstock.worker.job import Job
from penstock.worker.probation import TRIAL, Probation
from tests.unit.worker.parts import Clock, a_job


def line(max_deliveries: int = 5, *deliveries: int) -> tuple[Probation, Clock, list[Job]]:
    clock = Clock(100.0)
    probation = Probation(max_deliveries, clock)
    jobs = [a_job(deliveries=number, received=100.0) for number in deliveries]
    probation.add(jobs)
    return probation, clock, jobs


def free(_: Job) -> bool:
    return True


def test_the_next_suspect_begins_when_the_one_before_has_been_recorded() -> None:
    probation, _, [first, second] = line(5, 1, 1)
    assert probation.next(free) is first
    assert probation.next(free) is None
    first.begun = 100.0
    first.over = True
    assert probation.next(free) is None  # its ending could still be lost
    first.left = True
    assert probation.next(free) is second


def test_or_has_run_for_a_second() -> None:
    probation, clock, [first, second] = line(5, 1, 1)
    assert probation.next(free) is first
    first.begun = 100.0
    clock.advance(TRIAL / 2)
    assert probation.next(free) is None
    clock.advance(TRIAL / 2)
    assert probation.next(free) is second


def test_none_begins_without_a_free_slot() -> None:
    probation, _, [first] = line(5, 1)
    assert probation.next(lambda _: False) is None
    assert probation.next(free) is first


def test_one_that_has_used_up_half_of_its_deliveries_runs_alone() -> None:
    probation, clock, [harmless, grave, third] = line(5, 2, 3, 1)
    assert probation.next(free) is harmless
    harmless.begun = 100.0
    clock.advance(10.0)
    assert probation.next(free) is None
    harmless.left = True
    assert probation.next(free) is grave
    grave.begun = clock.now
    clock.advance(10.0)
    assert probation.next(free) is None
    grave.left = True
    assert probation.next(free) is third


def test_one_that_does_not_begin_after_all_makes_room() -> None:
    probation, _, [first, second] = line(5, 1, 1)
    assert probation.next(free) is first
    probation.dismiss(first)
    assert probation.next(free) is second


def test_who_waits_too_long_can_be_taken_out() -> None:
    probation, _, [first, second] = line(5, 1, 1)
    second.received = 105.0
    assert probation.withdraw(104.0) == [first]
    assert probation.remove(second)
    assert not probation.remove(second)
    assert probation.next(free) is None
