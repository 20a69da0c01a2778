"""Tasks are stopped and begun anew: cancel, revoke, reopen, and their races with a start."""

from __future__ import annotations

import asyncio
import json

import pytest

from penstock.core.errors import Conflict, NotFound
from penstock.core.record import Attempt
from penstock.core.states import FAILURE, PENDING, RECEIVED, RETRY, REVOKED, STARTED, SUCCESS
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import (
    BOOM,
    NOON,
    created,
    delivery,
    ending,
    lease,
    message,
    read,
    record,
    start,
)


class TestCancelling:
    @pytest.mark.parametrize("state", [PENDING, RECEIVED, STARTED, RETRY])
    async def test_an_unended_record_is_marked_and_its_state_told(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=state))
            assert await results.records.cancel([task.task_id, "unknown"], "revoked") == {task.task_id: state}
            task.cancel, task.confirmed = "revoked", False
            assert await read(results, task) == task

    async def test_a_waiting_record_that_is_marked_counts_as_unconfirmed_until_it_ends(self, harness: Harness) -> None:
        # a sweep publishes it again, should its message have been withdrawn and the revocation got lost
        async with harness.results() as results:
            (task,) = await created(results, record())
            await results.records.cancel([task.task_id], "revoked")
            assert [each.task_id for each in await results.records.unconfirmed(0.0, 10)] == [task.task_id]
            await results.records.revoke([task.task_id], "revoked")
            assert await results.records.unconfirmed(0.0, 10) == []

    @pytest.mark.parametrize("state", [SUCCESS, FAILURE, REVOKED])
    async def test_an_ended_record_is_not_marked_but_its_state_told(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=state, finished_at=NOON))
            assert await results.records.cancel([task.task_id], "revoked") == {task.task_id: state}
            assert await read(results, task) == task

    async def test_the_mark_is_seen_by_whoever_checks(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            (task,) = await created(one, record())
            await one.records.cancel([task.task_id], "terminated")
            assert (await other.records.check([task.task_id]))[task.task_id].cancel == "terminated"

    async def test_the_mark_outlives_a_retry_of_the_run_that_was_under_way(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.start([start(task)], own)
            await results.records.cancel([task.task_id], "revoked")
            await results.records.finish([ending(task, RETRY, eta=NOON)], own)
            assert await results.records.start([start(task)], own) == [False]

    async def test_a_cancel_and_a_start_at_once_leave_no_run_unmarked(self, harness: Harness) -> None:
        # a start after the mark is refused, and a mark after the start is told that the task runs
        async with harness.results() as one, harness.results() as other:
            tasks = await created(one, *(record() for _ in range(20)))
            own = await lease(one)
            for task in tasks:
                begun, found = await asyncio.gather(
                    other.records.start([start(task)], own),
                    one.records.cancel([task.task_id], "revoked"),
                )
                assert (begun, found[task.task_id]) in (([True], STARTED), ([False], PENDING))


class TestRevoking:
    @pytest.mark.parametrize("state", [PENDING, RECEIVED, RETRY])
    async def test_a_waiting_record_ends(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=state))
            assert await results.records.revoke([task.task_id], "expired") == {task.task_id: True}
            now = await read(results, task)
        assert (now.state, now.started_at) == (REVOKED, None)
        assert now.finished_at is not None
        assert abs(now.finished_at - harness.now()) < 5
        assert now.result is not None
        assert json.loads(now.result) == {
            "exc_type": "TaskRevokedError",
            "exc_message": ["expired"],
            "exc_module": "celery.exceptions",
        }

    @pytest.mark.parametrize("state", [STARTED, SUCCESS, FAILURE, REVOKED])
    async def test_a_record_that_does_not_wait_stays(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=state, started_at=NOON))
            assert await results.records.revoke([task.task_id], "purged") == {task.task_id: False}
            assert await read(results, task) == task

    async def test_each_known_id_is_answered(self, harness: Harness) -> None:
        async with harness.results() as results:
            waits, runs = await created(results, record(), record(state=STARTED))
            done = await results.records.revoke([runs.task_id, "unknown", waits.task_id], "purged")
            assert done == {runs.task_id: False, waits.task_id: True}

    async def test_a_revoked_task_neither_starts_nor_ends_again(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            own = await lease(results)
            await results.records.revoke([task.task_id], "revoked")
            assert await results.records.start([start(task)], own) == [False]
            assert await results.records.finish([ending(task)], own) == [False]
            assert await results.records.revoke([task.task_id], "revoked") == {task.task_id: False}
            assert (await read(results, task)).state == REVOKED

    async def test_a_revoke_and_a_start_at_once_never_both_win(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            tasks = await created(one, *(record() for _ in range(20)))
            own = await lease(one)
            for task in tasks:
                begun, revoked = await asyncio.gather(
                    other.records.start([start(task)], own),
                    one.records.revoke([task.task_id], "revoked"),
                )
                assert begun == [not revoked[task.task_id]]


class TestReopening:
    @pytest.mark.parametrize("state", [FAILURE, REVOKED])
    async def test_an_ended_task_waits_anew(self, harness: Harness, state: str) -> None:
        error = json.dumps(BOOM).encode()
        first = Attempt(number=1, state=RETRY, error=BOOM)
        ended = record(
            state=state, started_at=NOON + 1, finished_at=NOON + 2, worker="w1@host", pid=17, retries=1, deliveries=2,
            result=error, traceback="Traceback …", progress=b"0.5", eta=NOON, expires=NOON, attempts=[first],
            cancel="revoked", children=["c"],
        )  # fmt: skip
        async with harness.results() as results:
            await created(results, ended)
            now = await results.records.reopen(ended.task_id)
            assert await read(results, ended) == now
        last = Attempt(
            number=2, state=state, worker="w1@host", pid=17, started_at=NOON + 1, finished_at=NOON + 2, error=BOOM,
            traceback="Traceback …",
        )  # fmt: skip
        assert (now.state, now.generation, now.retries, now.deliveries) == (PENDING, 1, 0, 0)
        assert (now.result, now.traceback, now.progress, now.cancel) == (None, None, None, "")
        assert (now.eta, now.expires, now.started_at, now.finished_at) == (None, None, None, None)
        assert now.attempts == [first, last]
        assert (now.created_at, now.children) == (ended.created_at, ["c"])

    async def test_the_message_is_the_submitted_one_with_a_higher_generation(self, harness: Harness) -> None:
        sent = message("t", args=["ü"], expires="2023-01-01T00:00:00+00:00", stamps={"x": 1})
        async with harness.results() as results:
            await created(results, record("t", state=FAILURE, finished_at=NOON, message=sent))
            again = (await results.records.reopen("t")).message
        assert (again.body, again.queue, again.due, again.properties) == (sent.body, sent.queue, None, sent.properties)
        assert (again.headers["penstock_generation"], again.headers["stamps"]) == (1, {"x": 1})
        assert (again.headers["expires"], again.headers["retries"]) == (None, 0)

    async def test_each_reopening_is_a_generation(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=FAILURE, finished_at=NOON))
            for generation in (1, 2, 3):
                again = await results.records.reopen(task.task_id)
                assert again.generation == again.message.headers["penstock_generation"] == generation
                ends = ending(delivery(again), FAILURE, result=json.dumps(BOOM).encode())
                assert await results.records.finish([ends], await lease(results)) == [True]
            assert [each.number for each in (await read(results, task)).history()] == [1, 2, 3, 4]

    async def test_a_reopened_task_runs_again(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(cancel="revoked"))
            await results.records.revoke([task.task_id], "revoked")
            again = await results.records.reopen(task.task_id)
            own = await lease(results)
            assert await results.records.start([start(delivery(again))], own) == [True]
            assert await results.records.finish([ending(delivery(again))], own) == [True]
            assert (await read(results, task)).state == SUCCESS

    async def test_its_publish_is_owed_from_the_reopening_on(self, harness: Harness) -> None:
        aged = harness.now() - 5000
        async with harness.results() as results:
            (task,) = await created(results, record(state=FAILURE, finished_at=aged + 1, created_at=aged))
            again = await results.records.reopen(task.task_id)
            assert not again.confirmed
            assert await results.records.unconfirmed(30, 10) == []
            assert await results.records.unconfirmed(0, 10) == [again]
            await results.records.confirm([task.task_id])
            assert await results.records.unconfirmed(0, 10) == []

    @pytest.mark.parametrize("state", [PENDING, RECEIVED, STARTED, RETRY, SUCCESS])
    async def test_other_states_are_a_conflict(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=state))
            with pytest.raises(Conflict) as caught:
                await results.records.reopen(task.task_id)
            assert caught.value.state == state
            assert await read(results, task) == task

    async def test_an_unknown_task_is_not_found(self, harness: Harness) -> None:
        async with harness.results() as results:
            with pytest.raises(NotFound):
                await results.records.reopen("unknown")

    async def test_of_two_reopenings_at_once_one_is_refused(self, harness: Harness) -> None:
        async with harness.results() as one, harness.results() as other:
            (task,) = await created(one, record(state=FAILURE, finished_at=NOON))
            answers = await asyncio.gather(
                one.records.reopen(task.task_id), other.records.reopen(task.task_id), return_exceptions=True
            )
            assert sorted(isinstance(answer, Conflict) for answer in answers) == [False, True]
            assert (await read(one, task)).generation == 1
