"""Submitter: records and messages, gathered, all or nothing (DESIGN §6.1)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.client.submit import Submission, Submitter
from penstock.core.errors import MessageTooLarge, TaskIdTaken, Unavailable
from penstock.core.message import Message
from penstock.core.record import Record
from penstock.core.step import Step


def tasks(*task_ids: str | None) -> list[Submission]:
    app = Penstock("test", broker="memory://")
    return [app.prepare("add", (1,), options={"task_id": task_id}, check=False) for task_id in task_ids]


def together(blocking: bool = False) -> Backends:
    return Penstock("test", broker=f"memory://{uuid.uuid4().hex}").backends(blocking=blocking)


def apart(blocking: bool = False) -> Backends:
    one, two = (f"memory://{uuid.uuid4().hex}" for _ in range(2))
    return Penstock("test", broker=one, result_backend=two).backends(blocking=blocking)


async def records(backends: Backends, *task_ids: str) -> dict[str, Record]:
    return await backends.results.records.get(task_ids)


async def queued(backends: Backends) -> int:
    return sum(queue.ready for queue in await backends.broker.depth())


def counted(backends: Backends, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many steps each transaction of the results' driver has."""
    driver, runs = backends.results.driver, []
    run = driver.run

    async def counting(steps: Sequence[Step[Any]]) -> list[Any]:
        runs.append(len(steps))
        return await run(steps)

    monkeypatch.setattr(driver, "run", counting)
    return runs


def failing(backends: Backends, monkeypatch: pytest.MonkeyPatch, error: Exception, when: str = "") -> None:
    """Publishing raises `error`, if the message of task `when` is among those published."""
    publish = backends.broker.publish

    def refuse(messages: Sequence[Message]) -> Step[None]:
        if not when or any(message.task_id == when for message in messages):
            raise error
        return publish(messages)

    monkeypatch.setattr(backends.broker, "publish", refuse)


async def test_calls_at_the_same_time_share_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = together()
    runs = counted(backends, monkeypatch)
    submitter = Submitter(backends)
    await asyncio.gather(*(submitter.submit(tasks(None)) for _ in range(250)))
    assert runs == [2, 2, 2]
    assert await queued(backends) == 250


async def test_one_call_is_one_transaction_however_large(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = together()
    runs = counted(backends, monkeypatch)
    await Submitter(backends).submit(tasks(*[None] * 250))
    assert runs == [2]


async def test_nothing_to_submit_is_no_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = together()
    runs = counted(backends, monkeypatch)
    await Submitter(backends).submit([])
    assert runs == []


async def test_of_calls_sent_together_only_the_one_with_a_taken_id_fails() -> None:
    backends = together()
    submitter = Submitter(backends)
    await submitter.submit(tasks("old"))
    found = await asyncio.gather(
        submitter.submit(tasks("a")),
        submitter.submit(tasks("b", "old")),
        submitter.submit(tasks("c")),
        return_exceptions=True,
    )
    assert [type(each) for each in found] == [type(None), TaskIdTaken, type(None)]
    assert set(await records(backends, "a", "b", "c")) == {"a", "c"}
    assert await queued(backends) == 3


async def test_of_two_calls_with_the_same_new_id_one_wins() -> None:
    backends = together()
    submitter = Submitter(backends)
    found = await asyncio.gather(*(submitter.submit(tasks("same")) for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["NoneType"] + ["TaskIdTaken"] * 4
    assert await queued(backends) == 1


async def test_of_calls_sent_together_only_the_one_the_broker_refuses_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = together()
    failing(backends, monkeypatch, MessageTooLarge(2, 1), when="b")
    submitter = Submitter(backends)
    found = await asyncio.gather(*(submitter.submit(tasks(name)) for name in "abc"), return_exceptions=True)
    assert [type(each) for each in found] == [type(None), MessageTooLarge, type(None)]
    assert set(await records(backends, "a", "b", "c")) == {"a", "c"}


@pytest.mark.parametrize("error", [Unavailable("down"), ZeroDivisionError()])
async def test_everybody_hears_of_an_outage_and_the_next_call_works(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    backends = together()
    submitter = Submitter(backends)
    with monkeypatch.context() as patch:
        failing(backends, patch, error)
        found = await asyncio.gather(*(submitter.submit(tasks(name)) for name in "abc"), return_exceptions=True)
    assert found == [error] * 3
    assert await records(backends, "a", "b", "c") == {}
    await submitter.submit(tasks("a"))


async def test_a_caller_that_goes_away_before_it_is_sent_is_not_sent() -> None:
    backends = together()
    submitter = Submitter(backends)
    gone = asyncio.ensure_future(submitter.submit(tasks("gone")))
    await asyncio.sleep(0)
    gone.cancel()
    await submitter.submit(tasks("stays"))
    assert set(await records(backends, "gone", "stays")) == {"stays"}


async def test_close_waits_for_what_is_in_flight() -> None:
    backends = together()
    submitter = Submitter(backends)
    call = asyncio.ensure_future(submitter.submit(tasks("a")))
    await asyncio.sleep(0)
    await submitter.close()
    assert await queued(backends) == 1
    await call


# ------------------------------------------------------------------------------------------------- on two servers apart


async def test_apart_the_record_comes_first_and_names_its_submitter(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = apart()
    submitter = Submitter(backends)
    failing(backends, monkeypatch, Unavailable("perhaps it arrived"))
    with pytest.raises(Unavailable):
        await submitter.submit(tasks("a"))
    found = (await records(backends, "a"))["a"]
    assert (found.confirmed, found.submitter, found.state) == (False, f"{submitter.name}-0", "PENDING")


@pytest.mark.parametrize("error", [Unavailable("no connection", unsent=True), MessageTooLarge(2, 1)])
async def test_apart_a_submit_that_sent_nothing_leaves_no_record(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    backends = apart()
    with monkeypatch.context() as patch:
        failing(backends, patch, error)
        with pytest.raises(type(error)):
            await Submitter(backends).submit(tasks("a"))
    assert await records(backends, "a") == {}
    await Submitter(backends).submit(tasks("a"))


async def test_apart_the_confirmation_follows_at_once_when_nothing_else_waits() -> None:
    backends = apart()
    submitter = Submitter(backends)
    await submitter.submit(tasks("a"))
    await submitter.close()
    assert (await records(backends, "a"))["a"].confirmed


async def test_apart_the_confirmation_goes_with_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    backends = apart(blocking=True)
    submitter = Submitter(backends)
    await submitter.submit(tasks("a"))
    assert not (await records(backends, "a"))["a"].confirmed
    runs = counted(backends, monkeypatch)
    await submitter.submit(tasks("b"))
    assert runs == [2]
    found = await records(backends, "a", "b")
    assert (found["a"].confirmed, found["b"].confirmed) == (True, False)
    await submitter.close()
    assert (await records(backends, "b"))["b"].confirmed


async def test_apart_a_confirmation_is_not_forgotten_when_its_batch_fails() -> None:
    backends = apart(blocking=True)
    submitter = Submitter(backends)
    await submitter.submit(tasks("a"))
    with pytest.raises(TaskIdTaken):
        await submitter.submit(tasks("a", "b"))
    await submitter.close()
    assert (await records(backends, "a"))["a"].confirmed
