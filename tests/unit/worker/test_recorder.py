"""Record, then settle: in batches, through outages, and never the other way round."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.client.backends import Backends
from penstock.core.encoding import dumps
from penstock.core.errors import LeaseLost, Unavailable
from penstock.core.message import Delivery, Message
from penstock.core.record import DeadLetter, Ending, LogPiece
from penstock.core.states import FAILURE, SUCCESS
from penstock.core.step import Driver, Step
from penstock.worker.job import Job
from penstock.worker.outcome import Judge
from penstock.worker.recorder import BATCH, LAST_RESORT, Recorder
from penstock.worker.scribe import Scribe
from penstock.worker.session import Session
from tests.unit.worker.parts import Clock, a_job, soon, turns


class Server(Driver):
    """A driver that notes what it is asked, and refuses as it is told."""

    def __init__(self, asked: list[list[Any]]) -> None:
        self.asked = asked
        self.refusals: list[Exception] = []
        self.poison: set[str] = set()
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, steps: Sequence[Step[Any]]) -> list[Any]:
        await self.gate.wait()
        if self.refusals:
            raise self.refusals.pop(0)
        works = [step.work for step in steps]
        if self.poison & {name for work in works for name in work[1]}:
            raise ValueError("cannot be stored")
        self.asked.append(works)
        return [None for _ in steps]

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass


class Part:
    """Broker, consumer, records and dead letters: every method is a step that says its name and ids."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.records = self.dead = self
        self.logs = SimpleNamespace(add=self.log)

    def _step(self, name: str, ids: list[str], *more: Any) -> Step[Any]:
        return Step(self.driver, (name, ids, *more))

    def publish(self, messages: Sequence[Message]) -> Step[Any]:
        return self._step("publish", [message.task_id for message in messages])

    def log(self, pieces: Sequence[LogPiece], keep: int, *, tell: bool) -> Step[Any]:
        return self._step("log", [piece.task_id for piece in pieces], keep, tell)

    def settle(self, deliveries: Sequence[Delivery]) -> Step[Any]:
        return self._step("settle", [each.message.task_id for each in deliveries])

    def hand_back(self, deliveries: Sequence[Delivery], delay: float = 0.0) -> Step[Any]:
        return self._step("hand_back", [each.message.task_id for each in deliveries], delay)

    def finish(self, endings: Sequence[Ending], lease: str) -> Step[Any]:
        states = [ending.state for ending in endings]
        return self._step("finish", [ending.delivery.message.task_id for ending in endings], lease, states)

    def add(self, letters: Sequence[DeadLetter]) -> Step[Any]:
        return self._step("bury", [letter.task_id for letter in letters])


class Written:
    """A recorder on one server, or two, and what was written."""

    def __init__(self, shared: bool = True) -> None:
        self.asked: list[list[Any]] = []
        self.results = Server(self.asked)
        self.broker = self.results if shared else Server(self.asked)
        broker, results = Part(self.broker), Part(self.results)
        self.session = Session("lease", broker)  # type: ignore[arg-type]
        self.judge = Judge("w@h", Clock(), Random(1))
        self.settled: list[Job] = []
        self.lost: list[Session] = []
        self.pauses: list[float] = []
        backends = Backends(broker, results)  # type: ignore[arg-type]
        self.scribe = Scribe(backends, 1000)
        self.recorder = Recorder(
            backends,
            self.judge,
            self.scribe,
            settled=self.settled.extend,
            lost=self.lost.append,
            sleep=self._sleep,
        )
        self.task = asyncio.create_task(self.recorder.run())

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def job(self) -> Job:
        job = a_job(self.session)
        self.judge.end(job, SUCCESS, b"1")
        return job

    @property
    def names(self) -> list[list[str]]:
        return [[work[0] for work in works] for works in self.asked]


async def test_what_is_decided_waits_until_it_is_part_of_a_write() -> None:
    written = Written()
    written.results.gate.clear()
    seen = []
    for _ in range(2):
        written.recorder.add([written.job()])
        seen.append(written.recorder.waiting)
        await turns()
        seen.append(written.recorder.waiting)
    assert seen == [True, False, True, True]  # the first write goes on
    written.results.gate.set()
    await written.recorder.empty()
    assert not written.recorder.waiting
    assert len(written.asked) == 2


async def test_on_one_server_a_batch_is_recorded_and_settled_in_one_transaction() -> None:
    written = Written()
    jobs = [written.job() for _ in range(3)]
    written.recorder.add(jobs)
    await written.recorder.empty()
    ids = [job.task_id for job in jobs]
    assert written.asked == [[("finish", ids, "lease", [SUCCESS] * 3), ("settle", ids)]]
    assert written.settled == jobs


async def test_what_tasks_said_goes_with_their_endings_in_one_write() -> None:
    written = Written()
    one, silent, other = (written.job() for _ in range(3))
    written.scribe.note(one.task_id, b"1")
    written.scribe.note("runs on", b"2")
    written.scribe.note(other.task_id, b"3")
    written.recorder.add([one, silent, other])
    await written.recorder.empty()
    assert written.names == [["finish", "log", "settle"]]
    assert written.asked[0][1] == ("log", [one.task_id, other.task_id], 1000, False)


async def test_on_two_servers_the_order_is_publish_record_settle() -> None:
    written = Written(shared=False)
    job = written.job()
    job.again = job.delivery.message
    written.recorder.add([job])
    await written.recorder.empty()
    assert written.names == [["publish"], ["finish"], ["settle"]]


async def test_a_stage_that_is_through_is_not_repeated_when_a_later_one_fails() -> None:
    written = Written(shared=False)
    written.results.refusals = [Unavailable("down"), Unavailable("down")]
    job = written.job()
    job.again = job.delivery.message
    written.recorder.add([job])
    await written.recorder.empty()
    assert written.names == [["publish"], ["finish"], ["settle"]]
    assert len(written.pauses) == 2


async def test_while_one_batch_is_written_the_next_one_gathers() -> None:
    written = Written()
    written.results.gate.clear()
    written.recorder.add([written.job()])
    await turns()
    for _ in range(2 * BATCH):
        written.recorder.add([written.job()])
    written.results.gate.set()
    await written.recorder.empty()
    assert [len(works[0][1]) for works in written.asked] == [1, BATCH, BATCH]


async def test_large_results_do_not_go_together() -> None:
    written = Written()
    jobs = [written.job() for _ in range(3)]
    for job in jobs:
        written.judge.end(job, SUCCESS, b"x" * 3_000_000)
    written.recorder.add(jobs)
    await written.recorder.empty()
    assert len(written.asked) >= 2


async def test_an_outage_is_waited_out_with_growing_pauses_and_nothing_is_lost() -> None:
    written = Written()
    written.results.refusals = [Unavailable("down") for _ in range(8)]
    job = written.job()
    written.recorder.add([job])
    await written.recorder.empty()
    assert written.settled == [job]
    assert written.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0]


async def test_a_lost_lease_is_told_and_its_endings_are_dropped() -> None:
    written = Written()
    written.results.refusals = [LeaseLost("gone")]
    written.recorder.add([written.job()])
    await written.recorder.empty()
    assert written.lost == [written.session]
    written.session.alive = False
    written.recorder.add([written.job()])
    await written.recorder.empty()
    assert written.asked == []
    assert len(written.settled) == 2


async def test_an_outcome_that_cannot_be_stored_does_not_hold_up_its_neighbours() -> None:
    written = Written()
    good, bad, other = written.job(), written.job(), written.job()
    real = written.results.run

    async def run(steps: Sequence[Step[Any]]) -> list[Any]:
        if any(bad.task_id in work.work[1] for work in steps) and not any(work.work[0] == "bury" for work in steps):
            raise ValueError("cannot be stored")
        return await real(steps)

    written.results.run = run  # type: ignore[method-assign]
    written.recorder.add([good, bad, other])
    await written.recorder.empty()
    assert ("finish", [good.task_id], "lease", [SUCCESS]) in written.asked[0]
    assert ("finish", [bad.task_id], "lease", [FAILURE]) in written.asked[1]
    assert ("finish", [other.task_id], "lease", [SUCCESS]) in written.asked[2]


async def test_what_cannot_be_recorded_in_any_form_comes_again_later() -> None:
    written = Written()
    job = written.job()
    real = written.results.run

    async def run(steps: Sequence[Step[Any]]) -> list[Any]:
        if any(work.work[0] == "finish" for work in steps):
            raise ValueError("cannot be stored")
        return await real(steps)

    written.results.run = run  # type: ignore[method-assign]
    written.recorder.add([job])
    await soon(lambda: written.settled)
    assert written.asked == [[("hand_back", [job.task_id], LAST_RESORT)]]


async def test_a_message_whose_headers_cannot_be_stored_is_kept_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written()
    job = written.job()
    job.delivery.message.headers["x"] = "\ud800"
    kept: list[DeadLetter] = []

    def add(self: Part, letters: Sequence[DeadLetter]) -> Step[Any]:
        dumps([letter.message.headers for letter in letters])
        kept.extend(letters)
        return self._step("bury", [letter.task_id for letter in letters])

    def finish(self: Part, endings: Sequence[Ending], lease: str) -> Step[Any]:
        raise ValueError(f"{len(endings)} cannot be stored under {lease} by {self}")

    monkeypatch.setattr(Part, "add", add)
    monkeypatch.setattr(Part, "finish", finish)
    written.recorder.add([job])
    await soon(lambda: written.settled)
    [letter] = kept
    assert (letter.task_id, letter.reason, letter.message.body) == ("", "unrecordable", job.delivery.message.body)
    assert "\\ud800" in letter.message.headers["headers"]
    assert written.asked == [[("bury", [""]), ("settle", [job.task_id])]]


async def test_a_job_that_goes_back_is_not_settled() -> None:
    written = Written()
    job, other = written.job(), written.job()
    job.ending, job.back = None, 1.0
    written.recorder.add([job, other])
    await written.recorder.empty()
    assert written.asked == [
        [
            ("finish", [other.task_id], "lease", [SUCCESS]),
            ("hand_back", [job.task_id], 1.0),
            ("settle", [other.task_id]),
        ]
    ]
