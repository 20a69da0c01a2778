"""Cancel, retry, purge, wait, replay."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from penstock.client import letters, operations
from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.client.submit import Submitter
from penstock.core import search
from penstock.core.broker import Consumer, QueueDepth, Withdrawal
from penstock.core.encoding import loads
from penstock.core.errors import Conflict, NotFound, Unavailable
from penstock.core.ids import new_id
from penstock.core.message import Delivery, Message
from penstock.core.record import DeadLetter, Ending, Filter, Record, Start, Tally, WorkerInfo
from penstock.core.step import Step, commit
from penstock.testing.conformance.results.samples import worker

APART = [pytest.param(False, id="together"), pytest.param(True, id="apart")]


class World:
    """An app, its back ends opened on this loop, and one worker's lease."""

    def __init__(self, apart: bool = False) -> None:
        one, two = (f"memory://{new_id()}" for _ in range(2))
        self.app = Penstock("test", broker=one, result_backend=two if apart else one)
        self.backends: Backends = self.app.backends()
        self.submitter = Submitter(self.backends)
        self.consumer: Consumer = self.backends.broker.consume(["default"], "lease")

    async def submit(self, task_id: str, **options: Any) -> str:
        await self.submitter.submit(
            [self.app.prepare("add", (1,), options={"task_id": task_id, **options}, check=False)]
        )
        await self.submitter.close()
        return task_id

    async def claim(self) -> Delivery:
        await self.backends.results.leases.open("lease", "w@here", 60.0)
        [delivery] = await self.consumer.fetch(1)
        return delivery

    async def start(self) -> Delivery:
        delivery = await self.claim()
        start = Start(delivery=delivery, worker="w@here", pid=1, started_at=self.app.clock(), deliveries=1)
        await self.backends.results.records.start([start], "lease")
        return delivery

    async def finish(self, delivery: Delivery, state: str = "SUCCESS") -> None:
        ending = Ending(
            delivery=delivery,
            state=state,
            finished_at=self.app.clock(),
            worker="w@here",
            pid=1,
            result=b'{"exc_type":"ValueError","exc_message":[],"exc_module":"builtins"}',
        )
        await commit(
            self.backends.results.records.finish([ending], "lease"),
            self.consumer.settle([delivery]),
        )

    async def record(self, task_id: str) -> Record:
        return (await self.backends.results.records.get([task_id]))[task_id]

    async def letters(self) -> list[tuple[str, dict[str, Any]]]:
        return [(each.method, each.arguments) for each in await self.backends.results.mailbox.take("w@here")]

    async def ready(self) -> int:
        return sum(queue.ready + (queue.delayed or 0) for queue in await self.backends.broker.depth())


def unsure(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the broker's server cannot be searched: it counts and purges only what is ready."""
    broker = world.backends.broker
    depth, purge = broker.depth, broker.purge
    nothing = broker.purge("unknown")

    def withdrawn(task_id: str) -> Step[Withdrawal]:
        del task_id
        return Step(nothing.driver, lambda _: Withdrawal(0, sure=False))

    def counted(queues: list[str] | None = None) -> Step[list[QueueDepth]]:
        step = depth(queues)
        blind = partial(replace, delayed=None, claimed=None, oldest=None)
        return Step(step.driver, lambda store: [blind(each) for each in step.work(store)], step.wakes)

    def purged(queue: str, limit: int = 1000) -> Step[list[str]]:
        del limit
        step = purge(queue)
        return Step(step.driver, lambda store: [name for name in step.work(store) if name != "b"], step.wakes)

    monkeypatch.setattr(broker, "withdraw", withdrawn)
    monkeypatch.setattr(broker, "depth", counted)
    monkeypatch.setattr(broker, "purge", purged)


# ------------------------------------------------------------------------------------------------------------ searching


@pytest.mark.parametrize("at_once", [1, 3, 100])
async def test_a_search_is_followed_to_its_end(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(search, "AT_ONCE", at_once)
    world = World()
    for n in range(10):
        await world.submit(f"{'needle' if n in {0, 4, 9} else 'hay'}-{n}")
    which = Filter(text="needle")
    whole = await operations.page(world.backends, which, 50)
    assert ([item.task_id for item in whole.items], whole.next) == (["needle-9", "needle-4", "needle-0"], None)
    two = await operations.page(world.backends, which, 2)
    assert [item.task_id for item in two.items] == ["needle-9", "needle-4"]
    rest = await operations.page(world.backends, which, 2, two.next)
    assert ([item.task_id for item in rest.items], rest.next) == (["needle-0"], None)
    assert await operations.count(world.backends, which) == 3


async def test_counting_goes_on_for_a_moment_and_then_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "AT_ONCE", 2)
    world = World()
    for n in range(9):
        await world.submit(f"t{n}")
    readings = itertools.count()

    async def counted(seconds: float, cursor: str | None = None) -> Tally:
        which = Filter(text="t")
        return await operations.count_on(world.backends, which, cursor, seconds, lambda: float(next(readings)))

    first = await counted(0.0)
    assert (first.number, first.reached is not None) == (2, True)
    second = await counted(2.0, first.next)
    assert second.number == 4
    assert await counted(100.0, second.next) == Tally(3, None)
    assert await operations.count(world.backends, Filter(text="t0")) == 1


# --------------------------------------------------------------------------------------------------------------- cancel


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("options", [{}, {"countdown": 60}], ids=["ready", "delayed"])
async def test_a_waiting_task_is_revoked_at_once_and_its_message_is_gone(apart: bool, options: dict[str, Any]) -> None:
    world = World(apart)
    found = await operations.cancel(world.backends, await world.submit("a", **options))
    assert (found.outcome, found.record.state) == ("revoked", "REVOKED")
    assert loads(found.record.result or b"") == {
        "exc_type": "TaskRevokedError",
        "exc_message": ["revoked"],
        "exc_module": "celery.exceptions",
    }
    assert await world.ready() == 0
    assert await world.letters() == []


@pytest.mark.parametrize("apart", APART)
async def test_of_a_claimed_task_the_owner_is_asked(apart: bool) -> None:
    world = World(apart)
    await world.submit("a")
    await world.claim()
    found = await operations.cancel(world.backends, "a")
    assert (found.outcome, found.record.state, found.record.cancel) == ("requested", "PENDING", "revoked")
    assert await world.letters() == [("cancel", {"task_ids": ["a"], "terminate": False})]


async def test_a_running_task_is_stopped_only_with_terminate() -> None:
    world = World()
    await world.submit("a")
    await world.start()
    with pytest.raises(Conflict, match="terminate") as caught:
        await operations.cancel(world.backends, "a")
    assert caught.value.state == "STARTED"
    assert (await world.record("a")).cancel == ""
    found = await operations.cancel(world.backends, "a", terminate=True)
    assert (found.outcome, found.record.state, found.record.cancel) == ("requested", "STARTED", "terminated")
    assert await world.letters() == [("cancel", {"task_ids": ["a"], "terminate": True})]


async def test_of_a_task_whose_worker_is_dead_nobody_is_asked_and_the_mark_stays() -> None:
    world = World()
    await world.submit("a")
    await world.claim()
    await world.backends.results.leases.close(["lease"])
    assert (await operations.cancel(world.backends, "a")).outcome == "requested"
    assert (await world.record("a")).cancel == "revoked"
    assert await world.letters() == []


async def asked(world: World, answer: dict[str, Any]) -> operations.Cancelled:
    """Cancel "a" where messages cannot be found; what the worker of its queue answers."""
    watch = world.backends.results.mailbox.watch("w@here")
    cancelling = asyncio.create_task(operations.cancel(world.backends, "a"))
    while not (found := await world.backends.results.mailbox.take("w@here")):
        await watch.wait()
    await watch.close()
    [question] = found
    assert (question.method, question.arguments) == ("cancel", {"task_ids": ["a"], "terminate": False})
    await letters.answer(world.backends, question, answer)
    return await cancelling


@pytest.mark.parametrize(
    ("answer", "outcome", "state"),
    [
        pytest.param({"children": {"7": {}, "8": {}}, "silent": 0}, "revoked", "REVOKED", id="nobody has it"),
        pytest.param(
            {"children": {"7": {}, "8": {"a": "revoked"}}, "silent": 0}, "requested", "PENDING", id="one has it"
        ),
        pytest.param({"children": {"8": {"a": "running"}}, "silent": 1}, "requested", "PENDING", id="one runs it"),
        pytest.param({"children": {"7": {}}, "silent": 1}, "requested", "PENDING", id="one is silent"),
    ],
)
async def test_where_messages_cannot_be_found_the_workers_of_the_queue_are_asked_who_has_it(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], outcome: str, state: str
) -> None:
    world = World(apart=True)
    await world.backends.results.workers.register(worker("w@here"), 60.0)
    await world.backends.results.workers.register(replace(worker("v@here"), queues=["another"]), 60.0)
    unsure(world, monkeypatch)
    await world.submit("a")
    found = await asked(world, answer)
    assert (found.outcome, found.record.state, found.record.cancel) == (outcome, state, "revoked")
    assert await world.ready() == 1
    assert await world.backends.results.mailbox.take("v@here") == []


async def test_a_worker_is_asked_once_however_many_tasks_are_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(apart=True)
    await world.backends.results.workers.register(worker("w@here"), 60.0)
    unsure(world, monkeypatch)
    await world.submit("ended")
    await world.finish(await world.start())
    for name in "abc":
        await world.submit(name)
    watch = world.backends.results.mailbox.watch("w@here")
    cancelling = asyncio.create_task(operations.cancel_many(world.backends, ["a", "ended", "b", "nobody", "c"]))
    await watch.wait()
    await watch.close()
    (question,) = await world.backends.results.mailbox.take("w@here")
    assert question.arguments == {"task_ids": ["a", "b", "c"], "terminate": False}
    await letters.answer(world.backends, question, {"children": {"7": {"b": "running"}, "8": {}}, "silent": 0})
    one, ended, two, nobody, three = await cancelling
    assert [each.outcome for each in (one, two, three) if isinstance(each, operations.Cancelled)] == [
        "revoked", "requested", "revoked",
    ]  # fmt: skip
    assert (type(ended), type(nobody)) == (Conflict, NotFound)
    assert [(await world.record(name)).state for name in "abc"] == ["REVOKED", "PENDING", "REVOKED"]
    assert await world.letters() == []


async def test_an_owner_of_many_gets_one_letter() -> None:
    world = World()
    for name in "ab":
        await world.submit(name)
        await world.claim()
    outcomes = await operations.cancel_many(world.backends, ["a", "b"])
    assert [each.outcome for each in outcomes if isinstance(each, operations.Cancelled)] == ["requested"] * 2
    assert await world.letters() == [("cancel", {"task_ids": ["a", "b"], "terminate": False})]


async def test_where_messages_cannot_be_found_a_worker_that_does_not_answer_may_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(operations, "SILENCE", 0.01)
    world = World(apart=True)
    await world.backends.results.workers.register(worker("w@here"), 60.0)
    unsure(world, monkeypatch)
    found = await operations.cancel(world.backends, await world.submit("a"))
    assert (found.outcome, found.record.state, found.record.cancel) == ("requested", "PENDING", "revoked")
    assert await world.letters() == [("cancel", {"task_ids": ["a"], "terminate": False})]


async def test_where_messages_cannot_be_found_and_nobody_takes_them_the_task_is_revoked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(apart=True)
    unsure(world, monkeypatch)
    found = await operations.cancel(world.backends, await world.submit("a"))
    assert (found.outcome, found.record.state) == ("revoked", "REVOKED")
    assert await world.ready() == 1
    assert [(each.ready, each.oldest) for each in await operations.depths(world.backends)] == [(0, None)]
    kept = await world.record(await world.submit("kept"))
    assert [(each.ready, each.oldest) for each in await operations.depths(world.backends)] == [(1, kept.created_at)]
    assert await operations.purge(world.backends, "default") == 2
    await world.submit("c")
    assert [each.ready for each in await operations.depths(world.backends)] == [1]


async def test_what_the_broker_does_not_count_is_counted_in_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(apart=True)
    unsure(world, monkeypatch)
    await world.submit("a")
    await world.start()
    await world.submit("b", countdown=60)
    await world.submit("c")
    [found] = await operations.depths(world.backends)
    assert (found.ready, found.delayed, found.claimed) == (1, 1, 1)
    assert await operations.purge(world.backends, "default") == 2
    assert [(await world.record(name)).state for name in "abc"] == ["STARTED", "REVOKED", "REVOKED"]


async def test_a_task_that_has_ended_cannot_be_cancelled() -> None:
    world = World()
    await world.submit("a")
    await world.finish(await world.start())
    with pytest.raises(Conflict, match="has ended: SUCCESS"):
        await operations.cancel(world.backends, "a", terminate=True)


async def test_what_nobody_knows_cannot_be_cancelled() -> None:
    with pytest.raises(NotFound):
        await operations.cancel(World().backends, "nobody")


@pytest.mark.parametrize("apart", APART)
@pytest.mark.parametrize("step", ["withdraw", "revoke"])
async def test_a_crash_in_the_middle_leaves_a_task_that_is_going_to_be_revoked(
    apart: bool, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(apart)
    await world.submit("a")

    def crash(*_: object) -> None:
        raise Unavailable("gone")

    with monkeypatch.context() as patch:
        part: object = world.backends.broker if step == "withdraw" else world.backends.results.records
        patch.setattr(part, step, crash)
        with pytest.raises(Unavailable):
            await operations.cancel(world.backends, "a")
    found = await world.record("a")
    assert (found.state, found.cancel, found.confirmed) == ("PENDING", "revoked", False)
    # the message is still there, or a sweep publishes it again: either way the check before the run finds the mark
    assert await world.ready() == 1 or [each.task_id for each in await _unconfirmed(world)] == ["a"]
    assert (await operations.cancel(world.backends, "a")).record.state == "REVOKED"


async def _unconfirmed(world: World) -> list[Record]:
    return await world.backends.results.records.unconfirmed(0.0, 10)


# ---------------------------------------------------------------------------------------------------------------- retry


@pytest.mark.parametrize("apart", APART)
async def test_a_failed_task_runs_again_under_its_id_in_the_next_generation(apart: bool) -> None:
    world = World(apart)
    await world.submit("a", expires=60)
    await world.finish(await world.start(), "FAILURE")
    found = await operations.retry(world.backends, "a")
    assert (found.state, found.generation, found.confirmed, found.expires) == ("PENDING", 1, True, None)
    assert (await world.record("a")).confirmed
    assert (await world.claim()).message.headers["penstock_generation"] == 1


async def test_a_retry_whose_publish_fails_is_made_up_for_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    await world.submit("a")
    await world.finish(await world.start(), "FAILURE")

    def crash(*_: object) -> None:
        raise Unavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(world.backends.broker, "publish", crash)
        with pytest.raises(Unavailable):
            await operations.retry(world.backends, "a")
    assert [each.task_id for each in await _unconfirmed(world)] == ["a"]


@pytest.mark.parametrize("state", ["SUCCESS", "PENDING"])
async def test_only_failed_and_revoked_tasks_are_retried(state: str) -> None:
    world = World()
    await world.submit("a")
    if state == "SUCCESS":
        await world.finish(await world.start())
    with pytest.raises(Conflict):
        await operations.retry(world.backends, "a")
    with pytest.raises(NotFound):
        await operations.retry(world.backends, "nobody")


# --------------------------------------------------------------------------------------------------------- dead letters


def letter(message: Message, task_id: str = "") -> DeadLetter:
    return DeadLetter(
        id=new_id(), queue="default", reason="rejected", detail="", message=message, died_at=1.0, task_id=task_id
    )


async def test_replaying_a_letter_whose_task_is_known_is_the_tasks_retry() -> None:
    world = World()
    await world.submit("a")
    delivery = await world.start()
    await world.finish(delivery, "FAILURE")
    dead = letter(delivery.message, "a")
    await world.backends.results.dead.add([dead])
    found = await operations.replay(world.backends, dead.id)
    assert found is not None
    assert (found.state, found.generation) == ("PENDING", 1)
    assert await world.backends.results.dead.count() == 0
    assert await world.ready() == 1


async def test_replaying_a_letter_without_a_record_publishes_its_message() -> None:
    world = World()
    dead = letter(Message(b"raw", queue="default", due=9e9))
    await world.backends.results.dead.add([dead])
    assert await operations.replay(world.backends, dead.id) is None
    assert await world.backends.results.dead.count() == 0
    assert (await world.claim()).message.body == b"raw"
    with pytest.raises(NotFound):
        await operations.replay(world.backends, dead.id)


# ---------------------------------------------------------------------------------------------------------------- purge


@pytest.mark.parametrize("apart", APART)
async def test_a_purge_ends_every_waiting_task_and_no_claimed_one(apart: bool) -> None:
    world = World(apart)
    await world.submit("claimed")
    await world.claim()
    await world.submit("ready")
    await world.submit("delayed", countdown=60)
    await world.submit("elsewhere", queue="other")
    await world.backends.broker.publish([Message(b"raw", queue="default")])
    assert await operations.purge(world.backends, "default") == 3
    states = {name: (await world.record(name)).state for name in ("claimed", "ready", "delayed", "elsewhere")}
    assert states == {"claimed": "PENDING", "ready": "REVOKED", "delayed": "REVOKED", "elsewhere": "PENDING"}
    assert b"purged" in ((await world.record("ready")).result or b"")


async def test_a_purge_takes_more_than_one_page() -> None:
    world = World()
    await world.submitter.submit([world.app.prepare("add", check=False) for _ in range(2500)])
    assert await operations.purge(world.backends, "default") == 2500
    assert await world.ready() == 0


# ----------------------------------------------------------------------------------------------------------------- wait


async def test_wait_returns_when_all_have_ended() -> None:
    world = World()
    await world.submit("a")
    waiting = asyncio.ensure_future(operations.wait(world.backends, ["a"], 60))
    await asyncio.sleep(0)
    await world.finish(await world.start())
    assert (await waiting)["a"].state == "SUCCESS"


async def test_wait_returns_those_that_ended_in_time() -> None:
    world = World()
    await world.submit("a")
    await world.finish(await world.start())
    await world.submit("b")
    assert set(await operations.wait(world.backends, ["a", "b", "nobody"], 0)) == {"a"}
    assert set(await operations.wait(world.backends, ["a", "a"])) == {"a"}
    assert await operations.wait(world.backends, []) == {}


# ---------------------------------------------------------------------------------------------------------- known tasks


async def test_known_are_the_apps_own_tasks_and_those_of_live_workers() -> None:
    world = World()

    @world.app.task
    def add(x: int) -> int:
        return x

    theirs = {"add": {"title": "theirs"}, "resize": {"title": "resize"}}
    info = WorkerInfo(
        name="w@here",
        host="here",
        pid=1,
        started_at=0.0,
        queues=["default"],
        processes=1,
        threads=1,
        concurrency=1,
        version="1",
        tasks=theirs,
    )
    await world.backends.results.workers.register(info, 60.0)
    known = await operations.known_tasks(world.app, world.backends)
    assert known == {"add": add.arguments.schema(), "resize": {"title": "resize"}}
