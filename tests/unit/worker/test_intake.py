"""The fetch loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from penstock.core.errors import Unavailable
from penstock.core.message import Delivery
from penstock.worker.intake import Intake
from penstock.worker.session import Session
from tests.unit.worker.parts import delivery, turns


class Taker:
    """A consumer that gives what it is told to, when it is told to."""

    def __init__(self) -> None:
        self.limits: list[int] = []
        self.answers: asyncio.Queue[list[Delivery] | Exception] = asyncio.Queue()

    async def fetch(self, limit: int) -> list[Delivery]:
        self.limits.append(limit)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def nudge(self) -> None:
        self.answers.put_nowait([])

    async def stop(self) -> None:
        self.nudge()


class Fetched:
    """An intake with a taker, and what it did."""

    def __init__(self) -> None:
        self.room = 5
        self.busy = False
        self.taken: list[Sequence[Delivery]] = []
        self.fetches = 0
        self.pauses: list[float] = []
        self.taker = Taker()
        self.session = Session("lease", self.taker)  # type: ignore[arg-type]
        self.intake = Intake(lambda: self.room, self._take, self._fetched, lambda: self.busy, self._sleep)
        self.intake.begin(self.session)
        self.task = asyncio.create_task(self.intake.run())

    def _take(self, deliveries: Sequence[Delivery], _: Session) -> None:
        self.taken.append(deliveries)

    def _fetched(self) -> None:
        self.fetches += 1

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def give(self, answer: Any) -> None:
        self.taker.answers.put_nowait(answer)
        await turns()

    async def end(self) -> None:
        await self.intake.stop()
        await self.task


async def test_it_asks_for_the_next_batch_before_the_last_one_is_done() -> None:
    fetched = Fetched()
    batch = [delivery()]
    await turns()
    await fetched.give(batch)
    assert fetched.taken == [batch]
    assert fetched.taker.limits == [5, 5]
    await fetched.end()


async def test_without_room_it_waits_until_there_is_some() -> None:
    fetched = Fetched()
    fetched.room = 0
    await turns()
    assert fetched.taker.limits == []
    fetched.room = 2
    fetched.intake.changed()
    await turns()
    assert fetched.taker.limits == [2]
    await fetched.end()


async def test_when_the_room_is_gone_a_waiting_fetch_is_called_back() -> None:
    fetched = Fetched()
    await turns()
    fetched.room = 0
    fetched.intake.changed()
    await turns()
    assert fetched.taker.limits == [5]
    assert not fetched.intake.fetching
    await fetched.end()


async def test_while_a_write_is_certain_it_waits_to_share_it() -> None:
    fetched = Fetched()
    fetched.busy = True
    await turns()
    assert fetched.taker.limits == []
    fetched.intake.changed()
    await turns()
    assert fetched.taker.limits == []
    fetched.intake.join()
    await turns()
    assert fetched.taker.limits == [5]
    await fetched.end()


async def test_it_survives_an_outage_of_any_length() -> None:
    fetched = Fetched()
    for _ in range(10):
        await fetched.give(Unavailable("down"))
    assert fetched.pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert fetched.fetches == 0
    await fetched.give([delivery()])
    assert len(fetched.taken) == 1
    await fetched.end()


async def test_a_beat_makes_a_waiting_fetch_show_that_it_works() -> None:
    fetched = Fetched()
    await turns()
    fetched.intake.beat()
    await turns()
    assert fetched.fetches == 1
    fetched.room = 0
    fetched.intake.changed()
    await turns()
    before = fetched.fetches
    fetched.intake.beat()  # a fetch that is not wanted cannot fail
    assert fetched.fetches == before + 1
    await fetched.end()


async def test_during_an_outage_a_beat_proves_nothing() -> None:
    fetched = Fetched()
    await fetched.give(Unavailable("down"))
    fetched.room = 0
    await fetched.give(Unavailable("down"))
    fetched.intake.beat()
    assert fetched.fetches == 0
    await fetched.end()


async def test_what_comes_after_the_lease_was_lost_is_left_to_the_release() -> None:
    fetched = Fetched()
    await turns()
    fetched.session.alive = False
    await fetched.give([delivery()])
    assert fetched.taken == []
    assert fetched.taker.limits == [5]
    await fetched.end()
