"""What the keeper does about the dead, the late, the lapsed and the curious: its parts, on memory."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Sequence
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.errors import Conflict, Unavailable
from penstock.core.ids import new_id
from penstock.core.message import Delivery
from penstock.core.record import Command
from penstock.core.states import FAILURE, PENDING, REVOKED
from penstock.core.step import commit
from penstock.worker.burial import Burial
from penstock.worker.health import STALE, Health
from penstock.worker.kin import Kin
from penstock.worker.letters import Letters
from penstock.worker.monitor import HELD, MARGIN, Monitor
from penstock.worker.options import Plan, WorkerOptions, plan
from penstock.worker.presence import Presence
from penstock.worker.slots import seats
from penstock.worker.sweeps import UNCONFIRMED, Sweeps
from tests.unit.worker.parts import Clock, app_in_memory, soon


class Kept:
    """An app in memory, its back ends and two seats, with a clock that is set."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.app: Penstock = app_in_memory(clock=self.clock, **settings)
        self.app.task(name="add")(lambda x, y: x + y)
        self.backends: Backends = self.app.backends()
        self.records = self.backends.results.records
        self.seats = seats(2, 4)
        self.kin = Kin(self.seats, ["add"])
        self.notes: list[dict[str, Any]] = []
        self.monitor = Monitor(self.kin, self.notes.append, self.clock, self.clock)

    def plan(self, **given: Any) -> Plan:
        return plan(self.app, WorkerOptions(name="me", processes=1, **given))

    async def send(self, **options: Any) -> str:
        made = self.app.prepare("add", [1, 2], {}, options)
        await commit(self.records.create([made.record]), self.backends.broker.publish([made.message]))
        return made.record.task_id

    async def claim(self, lease: str, seconds: float = 10.0) -> Sequence[Delivery]:
        await self.backends.results.leases.open(lease, "me", seconds)
        return await self.backends.broker.consume(["default"], lease).fetch(100)

    async def ready(self) -> int:
        return sum(queue.ready for queue in await self.backends.broker.depth())

    async def record(self, task_id: str) -> Any:
        return (await self.records.get([task_id]))[task_id]


# --------------------------------------------------------------------------------------------------------------- burial


def death(lease: str, charge: dict[str, int] | None = None, judged: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"pid": 7, "leases": [lease], "charge": charge or {}, "judged": judged or {}}


async def test_a_dead_childs_messages_are_delivered_again_and_only_what_had_begun_is_charged() -> None:
    kept = Kept()
    guilty, innocent = await kept.send(), await kept.send()
    await kept.claim("dead")
    await Burial(kept.backends, "me").bury(death("dead", {guilty: 1}))
    assert await kept.ready() == 2
    assert [(await kept.record(task_id)).deliveries for task_id in (guilty, innocent)] == [1, 0]
    assert await kept.backends.results.leases.owner("dead") is None
    again = await kept.claim("another")
    assert [each.redelivered for each in again] == [True, True]


@pytest.mark.parametrize(
    ("limit", "state", "told"),
    [(0.5, FAILURE, ["TimeLimitExceeded", [0.5]]), (None, REVOKED, ["TaskRevokedError", ["terminated"]])],
)
async def test_a_task_that_its_child_was_killed_for_has_ended(limit: float | None, state: str, told: list[Any]) -> None:
    kept = Kept()
    task_id = await kept.send()
    await kept.claim("dead")
    verdict = {task_id: {"limit": limit, "task": "add", "started_at": 5.0}}
    await Burial(kept.backends, "me").bury(death("dead", judged=verdict))
    record = await kept.record(task_id)
    found = json.loads(record.result)
    assert (record.state, record.pid, record.deliveries) == (state, 7, 0)
    assert [found["exc_type"], found["exc_message"]] == told
    assert await kept.ready() == 1  # settled without a run when it comes again


async def test_a_task_without_a_record_gets_one_for_its_verdict() -> None:
    kept = Kept()
    await kept.backends.results.leases.open("dead", "me", 10.0)
    verdict = {"foreign": {"limit": 1.0, "task": "add", "started_at": 5.0}}
    await Burial(kept.backends, "me").bury(death("dead", judged=verdict))
    record = await kept.record("foreign")
    assert (record.state, record.task) == (FAILURE, "add")


# -------------------------------------------------------------------------------------------------------------- monitor


def test_a_run_past_its_limit_that_nobody_judged_costs_its_child() -> None:
    kept = Kept()
    kept.kin.born(7, 0, ["lease"])
    now = kept.clock.now
    kept.seats[0].begin("late", 1, 0, now - 10, now - 1)
    kept.seats[0].begin("in time", 1, 0, now - 10, math.inf)
    kept.monitor.look()
    assert kept.notes == []  # the child itself has a moment to act
    kept.clock.advance(MARGIN)
    kept.monitor.look()
    [note] = kept.notes
    assert note["kill"] == 7
    assert note["judged"] == {"late": {"limit": 9.0, "task": "add", "started_at": now - 10}}


def test_a_run_that_its_child_has_judged_is_left_to_it() -> None:
    kept = Kept()
    kept.kin.born(7, 0, ["lease"])
    slot = kept.seats[0].begin("late", 1, 0, kept.clock.now - 10, kept.clock.now - 9)
    kept.seats[0].judge(slot)
    kept.seats[0].ticked(kept.clock.now)
    kept.monitor.look()
    assert kept.notes == []
    assert not kept.monitor.terminate("late")


@pytest.mark.parametrize(("deadline", "limit"), [(9.0, 9.0), (math.inf, None)])
def test_a_judged_run_whose_child_cannot_act_on_it_any_more_costs_its_child(
    deadline: float, limit: float | None
) -> None:
    """It took hold of the GIL in the moment between the verdict and its record."""
    kept = Kept()
    kept.kin.born(7, 0, ["lease"])
    now = kept.clock.now
    slot = kept.seats[0].begin("deaf", 1, 0, now - 10, now + deadline - 10)
    kept.seats[0].begin("innocent", 1, 0, now - 10, math.inf)
    kept.seats[0].judge(slot)
    kept.seats[0].ticked(now)
    kept.clock.advance(HELD)
    kept.monitor.look()
    assert kept.notes == []
    kept.clock.advance(0.1)
    kept.monitor.look()
    assert kept.notes[0]["kill"] == 7
    assert kept.notes[0]["judged"] == {"deaf": {"limit": limit, "task": "add", "started_at": now - 10}}


def test_who_does_not_react_to_a_termination_is_killed_for_it() -> None:
    kept = Kept()
    kept.kin.born(7, 0, ["lease"])
    kept.seats[0].begin("deaf", 1, 0, kept.clock.now)
    assert kept.monitor.terminate("deaf")
    assert kept.notes[0]["judged"]["deaf"]["limit"] is None
    assert not kept.monitor.terminate("unknown")


# ------------------------------------------------------------------------------------------------------------- presence


async def test_a_beat_keeps_leases_alive_and_tells_which_are_lost() -> None:
    kept = Kept()
    presence = Presence(kept.plan(), kept.backends, kept.kin, os.getpid())
    await presence.register()
    leases = kept.backends.results.leases
    for number, lease in enumerate(("kept", "lost")):
        kept.kin.born(number, number, [lease])
        kept.seats[number].renewed(1.0)
    await leases.open("kept", "me", 10.0)
    assert await presence.beat() == ["lost"]
    kept.clock.advance(8.0)
    assert await presence.beat() == ["lost"]
    kept.clock.advance(8.0)
    assert await leases.owner("kept") is not None


async def test_a_lease_that_its_child_has_not_opened_yet_is_not_lost() -> None:
    kept = Kept()
    presence = Presence(kept.plan(), kept.backends, kept.kin, os.getpid())
    await presence.register()
    kept.kin.born(1, 0, ["not yet"])
    assert await presence.beat() == []


async def test_an_entry_that_is_gone_is_made_again() -> None:
    kept = Kept()
    presence = Presence(kept.plan(), kept.backends, kept.kin, os.getpid())
    await presence.register()
    await kept.backends.results.workers.leave(kept.plan().name)
    await presence.beat()
    [info] = await kept.backends.results.workers.all()
    assert (info.name, list(info.tasks)) == (kept.plan().name, ["add"])
    await presence.leave()
    assert await kept.backends.results.workers.all() == []


def gone() -> int:
    """The id of a process that is not there any more."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


async def test_the_name_of_a_live_worker_is_refused_and_that_of_a_dead_one_taken_over() -> None:
    kept = Kept()
    await Presence(kept.plan(), kept.backends, kept.kin, os.getpid()).register()
    with pytest.raises(Conflict):
        await Presence(kept.plan(), kept.backends, kept.kin, 1).register()
    await kept.backends.results.workers.leave(kept.plan().name)
    await Presence(kept.plan(), kept.backends, kept.kin, gone()).register()
    await Presence(kept.plan(), kept.backends, kept.kin, os.getpid()).register()
    [info] = await kept.backends.results.workers.all()
    assert info.pid == os.getpid()


# -------------------------------------------------------------------------------------------------------------- letters


class Mail(Kept):
    """A keeper's mailbox with one child."""

    def __init__(self) -> None:
        super().__init__()
        self.kin.born(7, 0, ["lease"])
        self.letters = Letters(self.backends, "me", self.kin, self.monitor, self.notes.append)

    async def letter(self, method: str, **arguments: Any) -> None:
        self.reading = asyncio.create_task(self.letters.run())
        await self.backends.results.mailbox.send("me", Command(id="L", method=method, arguments=arguments))
        await soon(lambda: self.notes)

    async def answer(self) -> Any:
        mailbox = self.backends.results.mailbox
        watch = mailbox.watch("answer:L")
        async with asyncio.timeout(5):
            while not (found := await mailbox.take("answer:L")):
                await watch.wait()
        await watch.close()
        self.reading.cancel()
        return found[0].arguments


async def test_a_letter_goes_to_the_children_and_their_answers_are_kept() -> None:
    mail = Mail()
    await mail.letter("ping")
    assert mail.notes == [{"letter": "L", "method": "ping", "arguments": {}}]
    mail.letters.answered({"answer": "L", "pid": 7, "result": "pong"})
    assert await mail.answer() == {"children": {"7": "pong"}, "silent": 0}


async def test_a_shutdown_is_for_the_supervisor() -> None:
    mail = Mail()
    await mail.letter("shutdown")
    assert mail.notes == [{"shutdown": True}]
    assert await mail.answer() == {"children": {}, "silent": 0}


async def test_a_child_that_does_not_answer_a_termination_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.worker.letters.PATIENCE", 0.01)
    mail = Mail()
    mail.seats[0].begin("deaf", 1, 0, mail.clock.now)
    await mail.letter("cancel", task_ids=["deaf"], terminate=True)
    assert await mail.answer() == {"children": {}, "silent": 1}
    assert [note.get("kill") for note in mail.notes] == [None, 7]


async def test_of_many_to_be_terminated_only_those_that_no_child_tells_of_are_killed() -> None:
    mail = Mail()
    mail.seats[0].begin("deaf", 1, 0, mail.clock.now)
    await mail.letter("cancel", task_ids=["deaf", "there"], terminate=True)
    mail.letters.answered({"answer": "L", "pid": 7, "result": {"there": "terminated"}})
    assert await mail.answer() == {"children": {"7": {"there": "terminated"}}, "silent": 0}
    assert [note.get("kill") for note in mail.notes] == [None, 7]


async def test_letters_that_are_being_taken_when_the_worker_ends_are_answered_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mail, taken, go_on = Mail(), asyncio.Event(), asyncio.Event()
    mailbox = mail.backends.results.mailbox
    take = mailbox.take

    async def slowly(worker: str) -> list[Command]:
        found = await take(worker)
        if found and not taken.is_set():
            taken.set()
            await go_on.wait()
        return found

    await mailbox.send("me", Command(id="L", method="shutdown", arguments={}))
    monkeypatch.setattr(mailbox, "take", slowly)
    mail.reading = asyncio.create_task(mail.letters.run())
    await taken.wait()
    mail.reading.cancel()
    await asyncio.wait([mail.reading])
    go_on.set()
    await mail.letters.finish()
    assert await mail.answer() == {"children": {}, "silent": 0}


# --------------------------------------------------------------------------------------------------------------- sweeps


async def test_a_claim_under_a_lease_that_nobody_knows_is_found() -> None:
    kept = Kept()
    await kept.send()
    await kept.claim("closed")
    await kept.backends.results.leases.close(["closed"])
    await kept.send()
    await kept.claim("alive", 1000.0)
    await Sweeps(kept.backends, kept.app.settings, "me").seldom()
    assert await kept.backends.broker.holders() == ["alive"]
    assert await kept.ready() == 1


async def test_expired_tasks_that_wait_are_revoked_and_those_that_a_worker_holds_are_its_own_business() -> None:
    kept = Kept()
    held = await kept.send(expires=5)
    await kept.claim("lease", 1000.0)
    waiting = await kept.send(expires=5, countdown=1)
    sweeps = Sweeps(kept.backends, kept.app.settings, "me")
    await sweeps.often()
    assert (await kept.record(waiting)).state == PENDING
    kept.clock.advance(5.0)
    await sweeps.often()
    record = await kept.record(waiting)
    assert (record.state, json.loads(record.result)["exc_message"]) == (REVOKED, ["expired"])
    assert (await kept.record(held)).state == PENDING
    [depth] = await kept.backends.broker.depth()
    assert (depth.delayed, depth.claimed) == (0, 1)


async def test_publishes_that_were_never_confirmed_are_repeated() -> None:
    kept = Kept()
    made = kept.app.prepare("add", [1, 2])
    made.record.confirmed, made.record.submitter = False, new_id()
    await kept.records.create([made.record])
    sweeps = Sweeps(kept.backends, kept.app.settings, "me")
    await sweeps.often()
    assert await kept.ready() == 0
    kept.clock.advance(UNCONFIRMED)
    await sweeps.often()
    await sweeps.often()
    assert await kept.ready() == 1


async def test_old_records_are_forgotten() -> None:
    kept = Kept(result_expires=3600.0)
    task_id = await kept.send()
    await kept.records.revoke([task_id], "revoked")
    sweeps = Sweeps(kept.backends, kept.app.settings, "me")
    await sweeps.seldom()
    assert await kept.records.get([task_id])
    kept.clock.advance(3601.0)
    await sweeps.seldom()
    assert await kept.records.get([task_id]) == {}


async def test_one_worker_sweeps_for_all() -> None:
    kept = Kept(result_expires=3600.0)
    await Sweeps(kept.backends, kept.app.settings, "me").seldom()
    task_id = await kept.send()
    await kept.records.revoke([task_id], "revoked")
    kept.clock.advance(3601.0)
    await kept.backends.results.keys.lock("sweep:clearance", "another", 60.0)
    await Sweeps(kept.backends, kept.app.settings, "me").seldom()
    assert await kept.records.get([task_id])


# --------------------------------------------------------------------------------------------------------------- health


async def test_live_means_that_every_child_fetched_lately() -> None:
    kept = Kept()
    health = Health(kept.backends, kept.kin, kept.clock)
    assert health.live()[0] == 503  # nobody there
    for number in (0, 1):
        kept.kin.born(number, number, ["lease"])
        kept.seats[number].fetched(kept.clock.now)
    assert health.live()[0] == 200
    kept.clock.advance(STALE)
    kept.seats[0].fetched(kept.clock.now)
    assert health.live()[0] == 503


async def test_ready_means_that_broker_and_records_answer_and_is_kept_for_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Kept()
    health = Health(kept.backends, kept.kin, kept.clock)
    assert (await health.ready())[0] == 200

    async def down() -> None:
        raise Unavailable("the server is down")

    monkeypatch.setattr(kept.backends.broker, "ping", down)
    assert (await health.ready())[0] == 200
    kept.clock.advance(1.1)
    status, _, body = await health.ready()
    assert (status, json.loads(body)) == (503, {"ready": False, "fault": "the server is down"})
