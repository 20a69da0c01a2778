"""Records come to be and go: create, get, confirm, unconfirmed, discard, forget."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.core.errors import TaskIdTaken
from penstock.core.message import Message
from penstock.core.record import Attempt
from penstock.core.states import FAILURE, PENDING, RECEIVED, RETRY, REVOKED, STARTED, SUCCESS
from penstock.testing.conformance.results.harness import Harness
from penstock.testing.conformance.results.samples import (
    BOOM,
    NOON,
    created,
    ending,
    lease,
    message,
    read,
    record,
    retry,
    start,
)


class TestCreating:
    async def test_a_record_is_read_back_whole(self, harness: Harness) -> None:
        attempt = Attempt(
            number=1, state=RETRY, worker="w", pid=3, started_at=1.5, finished_at=2.5, error=BOOM, traceback="…"
        )
        kept = record(
            state=FAILURE, eta=NOON + 1, expires=NOON + 2, started_at=NOON + 3, finished_at=NOON + 4, worker="w1@host",
            pid=99, retries=1, deliveries=2, generation=3, result=b'{"a":1}', traceback="Traceback …", progress=b"0.5",
            children=["a", "b"], attempts=[attempt], cancel="revoked", confirmed=False, submitter="s1",
        )  # fmt: skip
        async with harness.results() as results:
            await created(results, kept)
            assert await read(results, kept) == kept

    async def test_a_record_of_a_fresh_submission_is_read_back_whole(self, harness: Harness) -> None:
        fresh = record()
        async with harness.results() as results:
            await created(results, fresh)
            assert await read(results, fresh) == fresh

    async def test_the_message_keeps_every_header_and_property(self, harness: Harness) -> None:
        headers = {"id": "t", "task": "add", "x-user": {"deep": [1, None, "ü"]}, "stamps": {}, "group_index": 3}
        properties = {"correlation_id": "t", "reply_to": "q", "priority": 6, "delivery_mode": 2, "timestamp": 5}
        original = Message(b'[[],{},{"chain":[1]}]', headers, properties, "default", priority=6, due=NOON)
        async with harness.results() as results:
            await created(results, record("t", message=original))
            assert (await read(results, "t")).message == original

    async def test_a_body_may_be_any_bytes(self, harness: Harness) -> None:
        body = bytes(range(256))
        async with harness.results() as results:
            await created(results, record("t", message=Message(body, {"id": "t", "task": "add"})))
            assert (await read(results, "t")).message.body == body

    async def test_text_may_be_of_any_script(self, harness: Harness) -> None:
        name = "aufgabe.größe.任务.🚰"
        async with harness.results() as results:
            await created(
                results, record(f"id {name}", task=name, queue=name, args=[name], worker=name, traceback=name)
            )
            kept = await read(results, f"id {name}")
        assert (kept.task, kept.queue, kept.worker, kept.traceback) == (name, name, name, name)
        assert name.encode() in kept.message.body

    async def test_arguments_result_and_traceback_may_be_large(self, harness: Harness) -> None:
        large = record(
            args=["x" * 1_000_000], state=FAILURE, result=b'"%b"' % (b"y" * 1_000_000), traceback="z" * 65_536
        )
        async with harness.results() as results:
            await created(results, large)
            assert await read(results, large) == large

    async def test_get_gives_those_that_exist_by_id(self, harness: Harness) -> None:
        async with harness.results() as results:
            one, two, _ = await created(results, record(), record(), record())
            found = await results.records.get([one.task_id, "unknown", two.task_id])
            assert found == {one.task_id: one, two.task_id: two}
            assert await results.records.get([]) == {}

    async def test_those_that_have_ended_are_read_alone(self, harness: Harness) -> None:
        async with harness.results() as results:
            states = (PENDING, RECEIVED, STARTED, RETRY, SUCCESS, FAILURE, REVOKED)
            every = await created(results, *(record(state=state) for state in states))
            ids = [each.task_id for each in every]
            assert await results.records.ended([*ids, "unknown"]) == {each.task_id: each for each in every[4:]}
            assert await results.records.ended(ids[:4]) == {}
            assert await results.records.ended([]) == {}

    async def test_many_are_created_and_read_at_once(self, harness: Harness) -> None:
        async with harness.results() as results:
            many = await created(results, *(record() for _ in range(1000)))
            assert await results.records.get([each.task_id for each in many]) == {each.task_id: each for each in many}

    async def test_creating_nothing_is_fine(self, harness: Harness) -> None:
        async with harness.results() as results:
            await results.records.create([])

    async def test_what_is_read_is_the_readers_own(self, harness: Harness) -> None:
        async with harness.results() as results:
            (kept,) = await created(results, record())
            taken = await read(results, kept)
            taken.message.headers["id"] = "changed"
            taken.children.append("changed")
            kept.message.headers["task"] = "changed"
            again = await read(results, kept)
            assert (again.message.headers["id"], again.message.headers["task"]) == (kept.task_id, "add")
            assert again.children == []


class TestTakenIds:
    async def test_an_id_that_exists_is_taken(self, harness: Harness) -> None:
        async with harness.results() as results:
            (first,) = await created(results, record(task="first"))
            with pytest.raises(TaskIdTaken) as caught:
                await results.records.create([record(first.task_id, task="second")])
            assert caught.value.task_id == first.task_id
            assert await read(results, first) == first

    async def test_an_ended_record_never_becomes_pending_again(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record())
            await results.records.finish([ending(task)], await lease(results))
            with pytest.raises(TaskIdTaken):
                await results.records.create([task])
            assert (await read(results, task)).state == SUCCESS

    async def test_one_taken_id_refuses_all_and_the_first_is_named(self, harness: Harness) -> None:
        async with harness.results() as results:
            taken = await created(results, record(), record())
            fresh = record()
            with pytest.raises(TaskIdTaken) as caught:
                await results.records.create([fresh, record(taken[1].task_id), record(taken[0].task_id)])
            assert caught.value.task_id == taken[1].task_id
            assert await results.records.get([fresh.task_id]) == {}

    async def test_the_same_id_twice_in_one_call_is_taken(self, harness: Harness) -> None:
        async with harness.results() as results:
            with pytest.raises(TaskIdTaken) as caught:
                await results.records.create([record("a"), record("b"), record("b")])
            assert caught.value.task_id == "b"
            assert await results.records.get(["a", "b"]) == {}

    async def test_a_second_try_of_the_same_submission_is_not_taken_and_changes_nothing(self, harness: Harness) -> None:
        first = record(confirmed=False, submitter="s1")
        other = record(confirmed=False, submitter="s1")
        async with harness.results() as results:
            await created(results, first)
            await results.records.finish([ending(first)], await lease(results))
            ended = await read(results, first)
            await results.records.create([first, other])
            assert await read(results, first) == ended
            assert await read(results, other) == other

    async def test_another_submission_of_the_same_submitter_is_taken(self, harness: Harness) -> None:
        async with harness.results() as results:
            (first,) = await created(results, record(confirmed=False, submitter="s1"))
            again = record(first.task_id, confirmed=False, submitter="s1", created_at=NOON + 1)
            with pytest.raises(TaskIdTaken):
                await results.records.create([again])

    async def test_a_submission_of_another_submitter_is_taken(self, harness: Harness) -> None:
        async with harness.results() as results:
            (first,) = await created(results, record(confirmed=False, submitter="s1"))
            with pytest.raises(TaskIdTaken):
                await results.records.create([record(first.task_id, confirmed=False, submitter="s2")])


class TestConfirming:
    async def test_waiting_records_without_a_confirmation_are_listed_once_they_are_old(self, harness: Harness) -> None:
        now = harness.now()
        async with harness.results() as results:
            old, _, _ = await created(
                results,
                record(confirmed=False, submitter="s1", created_at=now - 31),
                record(confirmed=False, submitter="s1", created_at=now - 20),
                record(confirmed=True, created_at=now - 100),
            )
            assert await results.records.unconfirmed(30, 10) == [old]

    async def test_no_more_than_asked_are_listed(self, harness: Harness) -> None:
        now = harness.now()
        async with harness.results() as results:
            await created(results, *(record(confirmed=False, created_at=now - 40) for _ in range(5)))
            assert len(await results.records.unconfirmed(30, 3)) == 3

    async def test_a_confirmed_record_is_not_listed_any_more(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(confirmed=False, submitter="s1", created_at=harness.now() - 40))
            await results.records.confirm([task.task_id, "unknown"])
            assert await results.records.unconfirmed(30, 10) == []
            assert (await read(results, task)).confirmed

    async def test_a_record_that_a_worker_met_needs_no_confirmation(self, harness: Harness) -> None:
        aged: dict[str, Any] = {"confirmed": False, "created_at": harness.now() - 40}
        async with harness.results() as results:
            begun, tried, ended = await created(results, record(**aged), record(**aged), record(**aged))
            own = await lease(results)
            await results.records.start([start(begun)], own)
            await results.records.finish([retry(tried), ending(ended)], own)
            await results.records.put_back({begun.task_id: 0}, own)
            assert (await read(results, begun)).state == PENDING
            assert (await read(results, tried)).state == RETRY
            assert await results.records.unconfirmed(30, 10) == []

    async def test_confirming_changes_nothing_else(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(confirmed=False, submitter="s1"))
            await results.records.finish([ending(task, FAILURE)], await lease(results))
            ended = await read(results, task)
            await results.records.confirm([task.task_id])
            ended.confirmed = True
            assert await read(results, task) == ended


class TestDeleting:
    async def test_discard_deletes_what_is_pending_and_unconfirmed(self, harness: Harness) -> None:
        async with harness.results() as results:
            unsent, confirmed, begun = await created(
                results, record(confirmed=False), record(), record(confirmed=False, state=STARTED)
            )
            ids = [unsent.task_id, confirmed.task_id, begun.task_id, "unknown"]
            assert await results.records.discard(ids) == 1
            assert set(await results.records.get(ids)) == {confirmed.task_id, begun.task_id}

    async def test_a_discarded_id_can_be_used_again(self, harness: Harness) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(confirmed=False))
            await results.records.discard([task.task_id])
            await created(results, task)
            assert await read(results, task) == task

    @pytest.mark.parametrize("state", [SUCCESS, FAILURE, REVOKED])
    async def test_forget_deletes_ended_records(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=state, finished_at=NOON))
            assert await results.records.forget([task.task_id, "unknown"]) == 1
            assert await results.records.get([task.task_id]) == {}
            assert await results.records.forget([task.task_id]) == 0

    @pytest.mark.parametrize("state", [PENDING, RECEIVED, STARTED, RETRY])
    async def test_forget_passes_over_unended_ones(self, harness: Harness, state: str) -> None:
        async with harness.results() as results:
            (task,) = await created(results, record(state=state))
            assert await results.records.forget([task.task_id]) == 0
            assert await read(results, task) == task

    async def test_a_forgotten_id_can_be_used_again_and_starts_afresh(self, harness: Harness) -> None:
        old = record(
            "t", state=FAILURE, finished_at=NOON, args=["old"], result=b"1", attempts=[Attempt(number=1, state=RETRY)]
        )
        new = record("t", message=message("t", args=["new"]))
        async with harness.results() as results:
            await created(results, old)
            await results.records.forget(["t"])
            await created(results, new)
            assert await read(results, "t") == new
