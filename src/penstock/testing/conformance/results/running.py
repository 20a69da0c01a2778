"""Runs begin and end: start, finish, progress, and the fence of lease and generation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.core.errors import LeaseLost
from penstock.core.ids import id_time, new_id
from penstock.core.states import FAILURE, PENDING, RETRY, REVOKED, STARTED, SUCCESS
from penstock.core.times import iso
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import (
    BOOM,
    NOON,
    WORKER,
    created,
    delivery,
    ending,
    lease,
    message,
    read,
    record,
    retry,
    start,
)

LATER = {"penstock_generation": 1}


class TestStarting:
    async def test_a_run_is_marked_and_its_delivery_charged(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            begins = start(task, deliveries=2, started_at=NOON + 7, worker="w2@host", pid=44)
            assert await results.records.start([begins], await lease(results)) == [True]
            now = await read(results, task)
        assert (now.state, now.started_at, now.worker, now.pid, now.deliveries) == (STARTED, NOON + 7, "w2@host", 44, 2)
        assert now.message == task.message

    async def test_a_delivery_is_never_charged_less_than_it_was(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(deliveries=4))
            await results.records.start([start(task, deliveries=1)], await lease(results))
            assert (await read(results, task)).deliveries == 4

    async def test_a_run_begins_without_what_the_last_one_left(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.finish([retry(task, traceback="Traceback …")], own)
            await results.records.progress({task.task_id: b"0.9"}, own)
            await results.records.start([start(task)], own)
            now = await read(results, task)
        assert (now.result, now.traceback, now.progress) == (None, None, None)
        assert (now.retries, len(now.attempts)) == (1, 1)

    async def test_a_redelivery_begins_anew(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            await results.records.start([start(task)], await lease(results))
            again = start(task, deliveries=2, worker="w2@host", started_at=NOON + 30)
            assert await results.records.start([again], await lease(results)) == [True]
            now = await read(results, task)
        assert (now.worker, now.started_at, now.deliveries) == ("w2@host", NOON + 30, 2)

    @pytest.mark.parametrize("state", [SUCCESS, FAILURE, REVOKED])
    async def test_an_ended_task_does_not_start(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=state, finished_at=NOON))
            assert await results.records.start([start(task)], await lease(results)) == [False]
            assert await read(results, task) == task

    async def test_a_cancelled_task_does_not_start(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            await results.records.cancel([task.task_id], "revoked")
            assert await results.records.start([start(task)], await lease(results)) == [False]
            assert (await read(results, task)).state == PENDING

    async def test_an_older_generation_does_not_start(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(generation=1))
            own = await lease(results)
            assert await results.records.start([start(task)], own) == [False]
            assert await results.records.start([start(delivery(task, **LATER))], own) == [True]

    async def test_each_of_a_batch_stands_for_itself(self, harness: Harness) -> None:
        async with harness.results() as results:
            good, bad, other = await created(results, record(), record(cancel="revoked"), record())
            begun = await results.records.start([start(good), start(bad), start(other)], await lease(results))
            assert begun == [True, False, True]
            assert (await read(results, other)).state == STARTED


class TestEnding:
    async def test_success_keeps_the_value(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            ends = ending(task, result=b'{"sum":5}', children=["c1", "c2"], worker="w2@host", pid=44)
            assert await results.records.finish([ends], await lease(results)) == [True]
            now = await read(results, task)
        assert (now.state, now.result, now.children) == (SUCCESS, b'{"sum":5}', ["c1", "c2"])
        assert (now.started_at, now.finished_at, now.worker, now.pid) == (NOON + 1, NOON + 2, "w2@host", 44)
        assert now.message == task.message

    async def test_of_a_batch_each_ending_stands_for_itself(self, harness: Harness) -> None:
        async with harness.results() as results:
            own = await lease(results)
            tasks = await created(results, *(record() for _ in range(7)), record(generation=1))
            done, tried, parent, *good, later = tasks  # three that are good, and one that is not touched
            stranger = message("stranger")
            await results.records.finish([ending(done, result=b"1")], own)
            plain = [
                ending(good[0], result=b"2", worker="w2@host"),
                ending(done, FAILURE, result=b"{}"),
                ending(good[1], FAILURE, result=b"{}", traceback="…", deliveries=3),
                ending(later),
            ]
            assert await results.records.finish(plain, own) == [True, False, True, False]
            mixed = [
                retry(tried),
                ending(parent, children=["c1"]),
                ending(good[2], result=None),
                ending(good[2], FAILURE, result=b"{}"),
                ending(delivery(stranger)),
            ]
            assert await results.records.finish(mixed, own) == [True, True, True, False, True]
            states = [(await read(results, task)).state for task in tasks]
            assert states == [SUCCESS, RETRY, SUCCESS, SUCCESS, FAILURE, SUCCESS, PENDING, PENDING]
            first, second, third = [await read(results, task) for task in good[:3]]
            assert await read(results, good[3]) == good[3]
            assert (first.result, first.worker, first.traceback) == (b"2", "w2@host", None)
            assert (second.result, second.traceback, second.deliveries) == (b"{}", "…", 3)
            assert (third.result, third.finished_at) == (None, NOON + 2)
            assert (await read(results, parent)).children == ["c1"]
            assert (await results.records.get([stranger.task_id]))[stranger.task_id].state == SUCCESS

    async def test_failure_keeps_exception_and_traceback(self, harness: Harness) -> None:
        error, trace = json.dumps(BOOM).encode(), "Traceback (most recent call last):\n  ü" + "x" * 65_000
        async with harness.results() as results:
            (task,) = await created(results, record())
            await results.records.finish([ending(task, FAILURE, result=error, traceback=trace)], await lease(results))
            now = await read(results, task)
        assert (now.state, now.result, now.traceback) == (FAILURE, error, trace)
        assert now.history()[-1].error == BOOM

    async def test_a_result_may_be_large_or_absent(self, harness: Harness) -> None:
        async with harness.results() as results:
            large, none = await created(results, record(), record())
            value = b'"%b"' % (b"x" * 1_000_000)
            await results.records.finish([ending(large, result=value), ending(none, result=None)], await lease(results))
            assert (await read(results, large)).result == value
            assert (await read(results, none)).result is None

    async def test_the_last_progress_stays_to_be_seen(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.progress({task.task_id: b"0.9"}, own)
            await results.records.finish([ending(task)], own)
            assert (await read(results, task)).progress == b"0.9"

    @pytest.mark.parametrize("late", [SUCCESS, FAILURE, REVOKED, RETRY])
    async def test_an_ending_is_never_overwritten(self, harness: Harness, late: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.finish([ending(task, result=b"1")], own)
            ended = await read(results, task)
            second = retry(task) if late == RETRY else ending(task, late, result=b"2", finished_at=NOON + 9)
            assert await results.records.finish([second], own) == [False]
            assert await read(results, task) == ended

    async def test_the_first_of_two_endings_in_one_batch_stays(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            both = [ending(task, result=b"1"), ending(task, FAILURE, result=b"2")]
            assert await results.records.finish(both, await lease(results)) == [True, False]
            assert (await read(results, task)).result == b"1"

    async def test_an_ending_of_an_older_generation_is_refused(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=FAILURE, finished_at=NOON))
            await results.records.reopen(task.task_id)
            own = await lease(results)
            assert await results.records.finish([ending(task)], own) == [False]
            assert await results.records.finish([retry(task)], own) == [False]
            assert (await read(results, task)).state == PENDING
            assert await results.records.finish([ending(delivery(task, **LATER))], own) == [True]

    async def test_an_ending_without_a_start_keeps_the_start_that_was_marked(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.start([start(task, started_at=NOON + 1)], own)
            await results.records.finish([ending(task, FAILURE, started_at=None, finished_at=NOON + 5)], own)
            assert (await read(results, task)).started_at == NOON + 1

    async def test_a_task_that_never_ran_has_no_start(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            await results.records.finish([ending(task, REVOKED, started_at=None)], await lease(results))
            assert (await read(results, task)).started_at is None

    async def test_exhausted_deliveries_are_kept_where_they_are_more(self, harness: Harness) -> None:
        async with harness.results() as results:
            few, many = await created(results, record(deliveries=1), record(deliveries=9))
            ends = [ending(each, FAILURE, deliveries=5) for each in (few, many)]
            await results.records.finish(ends, await lease(results))
            assert (await read(results, few)).deliveries == 5
            assert (await read(results, many)).deliveries == 9

    async def test_a_cancelled_task_may_still_end_as_it_did(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            await results.records.cancel([task.task_id], "revoked")
            assert await results.records.finish([ending(task)], await lease(results)) == [True]
            assert (await read(results, task)).state == SUCCESS

    async def test_a_batch_of_many_kinds_is_answered_in_order(self, harness: Harness) -> None:
        async with harness.results() as results:
            ok, bad, again, gone = await created(
                results, record(), record(), record(), record(state=REVOKED, finished_at=1.0)
            )
            foreign = delivery(message(new_id(), "foreign"))
            ends = [ending(gone), ending(ok), retry(again), ending(foreign), ending(bad, FAILURE)]
            assert await results.records.finish(ends, await lease(results)) == [False, True, True, True, True]
            states = [(await read(results, each)).state for each in (gone, ok, again, bad)]
        assert states == [REVOKED, SUCCESS, RETRY, FAILURE]

    async def test_ending_nothing_is_fine(self, harness: Harness) -> None:
        async with harness.results() as results:
            assert await results.records.finish([], await lease(results)) == []
            assert await results.records.start([], await lease(results)) == []


class TestRetrying:
    async def test_the_run_is_kept_and_the_task_waits_for_the_next(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.start([start(task, deliveries=3)], own)
            await results.records.progress({task.task_id: b"0.9"}, own)
            ends = retry(task, retries=0, eta=NOON + 99)
            assert await results.records.finish([ends], own) == [True]
            now = await read(results, task)
        assert (now.state, now.retries, now.deliveries, now.eta) == (RETRY, 1, 0, NOON + 99)
        assert (now.attempts, now.history()) == ([ends.attempt], [ends.attempt])
        assert (now.result, now.finished_at, now.started_at, now.progress) == (ends.result, None, None, None)
        assert now.message == task.message

    async def test_every_attempt_is_kept_in_order(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            ends = [retry(delivery(task, retries=number), retries=number) for number in range(4)]
            for each in ends:
                assert await results.records.finish([each], own) == [True]
            await results.records.finish([ending(delivery(task, retries=4), retries=4)], own)
            now = await read(results, task)
        assert now.attempts == [each.attempt for each in ends]
        assert (now.state, now.retries) == (SUCCESS, 4)
        assert [each.state for each in now.history()] == [RETRY, RETRY, RETRY, RETRY, SUCCESS]

    async def test_a_late_decision_never_lowers_the_count(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=RETRY, retries=3))
            await results.records.finish([retry(task, retries=0)], await lease(results))
            assert (await read(results, task)).retries == 3

    async def test_children_of_all_attempts_are_kept(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.finish([retry(task, children=["a"])], own)
            await results.records.finish([ending(task, children=["b", "ü"])], own)
            assert (await read(results, task)).children == ["a", "b", "ü"]

    async def test_a_traceback_of_64_kib_is_kept_with_each_attempt(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            for number in range(3):
                ends = retry(task, retries=number)
                assert ends.attempt
                ends.attempt.traceback = "ü" * 32_768
                await results.records.finish([ends], own)
            assert [each.traceback for each in (await read(results, task)).attempts] == ["ü" * 32_768] * 3


class TestForeignTasks:
    """Tasks that real Celery producers sent are unknown until a worker meets them."""

    async def test_a_start_gives_them_a_record(self, harness: Harness) -> None:
        task_id = new_id()
        sent = message(task_id, "theirs.add", [1, "ü"], {"k": 2}, "their-queue", root_id="r")
        async with harness.results() as results:
            assert await results.records.start([start(delivery(sent))], await lease(results)) == [True]
            now = await read(results, task_id)
        assert (now.task, now.queue, now.message) == ("theirs.add", "their-queue", sent)
        assert (now.state, now.started_at, now.worker, now.deliveries) == (STARTED, NOON + 1, WORKER, 1)
        assert (now.confirmed, now.submitter) == (True, "")

    @pytest.mark.parametrize("state", [SUCCESS, FAILURE, REVOKED])
    async def test_an_ending_gives_them_a_record(self, harness: Harness, state: str) -> None:
        sent = message(new_id(), "theirs.add", queue="their-queue")
        async with harness.results() as results:
            ends = ending(delivery(sent), state, result=b"1", traceback="…", children=["c"], deliveries=2)
            assert await results.records.finish([ends], await lease(results)) == [True]
            now = await read(results, sent.task_id)
        assert (now.task, now.queue, now.message, now.state) == ("theirs.add", "their-queue", sent, state)
        assert (now.result, now.traceback, now.children, now.deliveries) == (b"1", "…", ["c"], 2)
        assert (now.started_at, now.finished_at) == (NOON + 1, NOON + 2)

    async def test_a_retry_gives_them_a_record(self, harness: Harness) -> None:
        ends = retry(delivery(message(new_id()), retries=2), retries=2)
        async with harness.results() as results:
            assert await results.records.finish([ends], await lease(results)) == [True]
            now = await read(results, ends.delivery.message.task_id)
        assert (now.state, now.retries, now.eta, now.attempts) == (RETRY, 3, NOON + 10, [ends.attempt])
        assert (now.finished_at, now.deliveries) == (None, 0)

    @pytest.mark.parametrize(
        ("task_id", "properties", "expected"),
        [
            ("a-celery-id", {}, NOON + 1),
            ("a-celery-id", {"timestamp": NOON - 50}, NOON - 50),
            ("01936d4e-8c5b-7000-b3f1-6a5a7c1f0e2d", {}, NOON + 1),
            ("018b0000-0000-7000-8000-000000000000", {}, id_time("018b0000-0000-7000-8000-000000000000")),
        ],
        ids=["met", "stamped", "an id from the future", "an id with a time"],
    )
    async def test_they_were_created_when_the_delivery_says_and_not_after_they_were_met(
        self, harness: Harness, task_id: str, properties: dict[str, Any], expected: float
    ) -> None:
        sent = message(task_id)
        sent.properties |= properties
        async with harness.results() as results:
            own = await lease(results)
            await results.records.start([start(delivery(sent), started_at=NOON + 1)], own)
            assert (await read(results, task_id)).created_at == expected

    async def test_their_times_are_read_from_the_headers_and_nonsense_is_none(self, harness: Harness) -> None:
        sane = message("sane", eta=iso(NOON - 5), expires=iso(NOON + 500))
        mad = message("mad", eta="tomorrow", expires=17)
        async with harness.results() as results:
            await results.records.start([start(delivery(sane)), start(delivery(mad))], await lease(results))
            found = await results.records.get(["sane", "mad"])
        assert (found["sane"].eta, found["sane"].expires) == (NOON - 5, NOON + 500)
        assert (found["mad"].eta, found["mad"].expires) == (None, None)

    async def test_a_start_and_an_ending_of_one_batch_meet_in_one_record(self, harness: Harness) -> None:
        sent = message(new_id())
        async with harness.results() as results:
            own = await lease(results)
            await results.records.start([start(delivery(sent))], own)
            await results.records.finish([ending(delivery(sent)), ending(delivery(sent), FAILURE)], own)
            assert (await read(results, sent.task_id)).state == SUCCESS

    async def test_a_record_of_a_later_generation_fences_them_too(self, harness: Harness) -> None:
        sent = message(new_id(), penstock_generation=1)
        async with harness.results() as results:
            own = await lease(results)
            await results.records.start([start(delivery(sent))], own)
            old = delivery(message(sent.task_id))
            assert await results.records.finish([ending(old)], own) == [False]
            assert (await read(results, sent.task_id)).generation == 1


class TestProgress:
    async def test_the_last_report_is_what_the_record_shows(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, two = await created(results, record(), record())
            own = await lease(results)
            await results.records.start([start(one)], own)
            await results.records.progress({one.task_id: b'{"fraction":0.1}', two.task_id: b'"\xc3\xbc"'}, own)
            await results.records.progress({one.task_id: b'{"fraction":0.4}'}, own)
            assert (await read(results, one)).progress == b'{"fraction":0.4}'
            assert (await read(results, two)).progress == b'"\xc3\xbc"'
            assert (await read(results, one)).state == STARTED

    async def test_ended_and_unknown_tasks_are_passed_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=SUCCESS, finished_at=NOON))
            await results.records.progress({task.task_id: b"0.5", "unknown": b"0.5"}, await lease(results))
            assert await read(results, task) == task
            assert await results.records.get(["unknown"]) == {}


class TestFence:
    """A lease that is not alive writes nothing."""

    async def test_a_condemned_lease_writes_nothing(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results, seconds=0.2)
            await harness.elapse(0.3)
            assert await results.leases.condemn([own]) == [own]
            with pytest.raises(LeaseLost):
                await results.records.start([start(task)], own)
            with pytest.raises(LeaseLost):
                await results.records.finish([ending(task), ending(delivery(message("foreign")))], own)
            with pytest.raises(LeaseLost):
                await results.records.finish([retry(task)], own)
            with pytest.raises(LeaseLost):
                await results.records.progress({task.task_id: b"0.5"}, own)
            with pytest.raises(LeaseLost):
                await results.records.put_back({task.task_id: 0}, own)
            assert await results.records.get([task.task_id, "foreign"]) == {task.task_id: task}

    async def test_a_lease_whose_renewal_is_late_writes_as_before(self, harness: Harness) -> None:
        """Nobody has its claims until it is condemned."""
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results, seconds=0.2)
            await harness.elapse(0.3)
            assert await results.records.start([start(task)], own) == [True]
            await results.records.progress({task.task_id: b"0.5"}, own)
            await results.records.put_back({task.task_id: 0}, own)
            assert await results.records.finish([ending(task)], own) == [True]

    async def test_a_closed_lease_writes_nothing(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.leases.close([own])
            with pytest.raises(LeaseLost):
                await results.records.finish([ending(task)], own)
            assert await read(results, task) == task

    async def test_a_lease_that_never_was_writes_nothing(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            with pytest.raises(LeaseLost):
                await results.records.finish([ending(task)], "never")
            with pytest.raises(LeaseLost):
                await results.records.start([start(task)], "")
            assert await read(results, task) == task

    async def test_the_dead_do_not_disturb_those_who_took_over(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            dead, alive = await lease(results, seconds=0.2), await lease(results)
            await results.records.start([start(task)], dead)
            await harness.elapse(0.3)
            await results.leases.condemn([dead])
            await results.records.start([start(task, deliveries=2, worker="w2@host")], alive)
            with pytest.raises(LeaseLost):
                await results.records.finish([ending(task, FAILURE)], dead)
            assert await results.records.finish([ending(task, worker="w2@host")], alive) == [True]
            assert (await read(results, task)).worker == "w2@host"
