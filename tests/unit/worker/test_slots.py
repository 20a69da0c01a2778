"""What a child is doing, in memory that its parent shares."""

from __future__ import annotations

import math
import os

from penstock.worker.slots import ID_BYTES, Run, seats

UUID = "01936d4e-8c5b-7000-b3f1-6a5a7c1f0e2d"


def test_a_run_is_there_from_its_beginning_to_its_end() -> None:
    [seat] = seats(1, 4)
    slot = seat.begin(UUID, 2, 7, 123.5, 99.0)
    assert seat.running() == [Run(UUID, 2, 7, 123.5, 99.0, judged=False)]
    seat.end(slot)
    assert seat.running() == []


def test_as_many_runs_as_there_are_slots_stand_beside_each_other() -> None:
    [seat] = seats(1, 3)
    for number in range(3):
        seat.begin(f"task-{number}", 1, 0, 0.0)
    assert [run.task_id for run in seat.running()] == ["task-0", "task-1", "task-2"]
    assert {run.deadline for run in seat.running()} == {math.inf}


def test_seats_do_not_see_each_other() -> None:
    first, second = seats(2, 2)
    first.begin("mine", 1, 0, 0.0)
    second.processed(5)
    assert second.running() == []
    assert first.counters().processed == 0


def test_a_judged_run_says_so_until_its_code_comes_back() -> None:
    [seat] = seats(1, 1)
    slot = seat.begin("late", 1, 0, 0.0)
    seat.judge(slot)
    assert [run.judged for run in seat.running()] == [True]
    seat.end(slot)
    seat.judge(slot)  # too late
    assert seat.running() == []


def test_ids_of_any_length_and_script_fit_or_are_cut() -> None:
    [seat] = seats(1, 3)
    widest = "\U0001f41f" * 255
    seat.begin(widest, 1, 0, 0.0)
    seat.begin("é" * 600, 1, 0, 0.0)
    assert seat.running()[0].task_id == widest
    assert len(seat.running()[1].task_id.encode()) == ID_BYTES


def test_counters_are_kept_apart_and_cleared_for_the_next_child() -> None:
    [seat] = seats(1, 1)
    seat.fetched(1.0)
    seat.ticked(2.0)
    seat.renewed(3.0)
    seat.processed(4)
    seat.resident(5)
    counters = seat.counters()
    assert (counters.fetched, counters.ticked, counters.renewed, counters.processed, counters.resident) == (
        1,
        2,
        3,
        4,
        5,
    )
    seat.begin("left behind", 1, 0, 0.0)
    seat.clear(10.0)
    assert seat.running() == []
    assert (seat.counters().fetched, seat.counters().renewed, seat.counters().processed) == (10.0, 0.0, 0)


def test_a_killed_process_leaves_its_runs_readable() -> None:
    [seat] = seats(1, 2)
    pid = os.fork()
    if pid == 0:
        seat.begin("doomed", 3, 1, 5.0)
        os._exit(9)
    os.waitpid(pid, 0)
    assert seat.running() == [Run("doomed", 3, 1, 5.0, math.inf, judged=False)]
