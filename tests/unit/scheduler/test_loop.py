"""The scheduler: one run for each due time, whoever is there, whatever goes wrong."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.backends import Backends
from penstock.core.errors import StorageError, Unavailable
from penstock.core.record import Filter, Record
from penstock.core.schedule import ScheduleEntry
from penstock.core.step import Step
from penstock.drivers.memory import Memory
from penstock.scheduler import loop
from penstock.scheduler.loop import Scheduler


class Clock:
    """Time that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def set(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(clock: Clock) -> Penstock:
    return Penstock("shop", broker=f"memory://{uuid.uuid4().hex}", clock=clock)


def beat() -> None: ...


async def settled(*schedulers: Scheduler) -> float:
    """Poll until nobody fires any more; the shortest of the last pauses."""
    while True:
        pauses = await asyncio.gather(*(scheduler.poll() for scheduler in schedulers))
        if min(pauses) > loop.SHORTEST:
            return min(pauses)


async def records(backends: Backends) -> list[Record]:
    """All records, oldest first."""
    page = await backends.results.records.page(Filter(), 1000)
    return sorted(page.items, key=lambda record: record.task_id)


async def entry(backends: Backends, name: str = "beat") -> ScheduleEntry:
    return {each.schedule.name: each for each in await backends.results.schedules.all()}[name]


async def fired_at(backends: Backends) -> list[float]:
    """The due times of the runs that there are; each from its task's id."""
    ids = [record.task_id for record in await records(backends)]
    return [int(task_id.replace("-", "")[:12], 16) / 1000 for task_id in ids]


def interleaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let others have a turn before each step, as with a server."""
    run = Memory.run

    async def slowly(self: Memory, steps: Sequence[Step[Any]]) -> list[Any]:
        await asyncio.sleep(0)
        return await run(self, steps)

    monkeypatch.setattr(Memory, "run", slowly)


async def test_each_due_time_is_fired_once_by_three_schedulers_at_once(
    app: Penstock, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.periodic(every=5)(beat)
    app.periodic("* * * * *", name="minute", missed="all")(app.tasks["beat"])
    interleaved(monkeypatch)
    schedulers = [Scheduler(app, app.backends()) for _ in range(3)]
    backends = schedulers[0].backends
    start = clock.now
    await settled(*schedulers)
    for _ in range(60):
        clock.now += 2.5
        await settled(*schedulers)
    due = Counter(await fired_at(backends))
    assert due == Counter([start + 5 * number for number in range(1, 31)] + [start + 40, start + 100])
    depth = await backends.broker.depth()
    assert [each.ready for each in depth] == [sum(due.values())]
    assert (await entry(backends)).fired == 30


async def test_all_of_them_racing_without_a_lock_fire_once(
    app: Penstock, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.periodic(every=5)(beat)
    interleaved(monkeypatch)
    schedulers = [Scheduler(app, app.backends()) for _ in range(3)]
    await settled(*schedulers)
    for scheduler in schedulers:
        scheduler.leads, scheduler._asked = True, clock.now + 1000
    clock.now += 5
    await settled(*schedulers)
    assert len(await records(schedulers[0].backends)) == 1
    assert (await entry(schedulers[0].backends)).fired == 1


async def test_a_crash_between_submit_and_advance_is_made_up_for_without_a_second_run(
    app: Penstock, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.periodic(every=5)(beat)
    first, second = Scheduler(app, app.backends()), Scheduler(app, app.backends())
    await settled(first, second)
    clock.now += 5

    class Killed(BaseException): ...

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(first.backends.results.schedules, "advance", killed)
        with pytest.raises(Killed):
            await first.poll()
    assert (await entry(second.backends)).fired == 0
    await settled(second)
    assert (await entry(second.backends)).fired == 0, "it leaves half a second to the one who has the lock"
    clock.now += loop.STAND_IN
    await settled(second)
    (record,) = await records(second.backends)
    now = await entry(second.backends)
    assert (now.fired, now.last_task_id) == (1, record.task_id)
    assert [each.ready for each in await second.backends.broker.depth()] == [1]


async def test_whoever_stands_in_takes_the_lead_when_the_lock_has_run_out(app: Penstock, clock: Clock) -> None:
    app.periodic(every=5)(beat)
    first, second = Scheduler(app, app.backends()), Scheduler(app, app.backends())
    start = clock.now
    await settled(first, second)
    clock.now += 5
    await settled(first, second)
    assert (first.leads, second.leads) == (True, False)
    for _ in range(9):  # the first one is gone
        clock.now += 5
        await settled(second)
        clock.now += loop.STAND_IN
        await settled(second)
        clock.now -= loop.STAND_IN
    assert second.leads
    assert await fired_at(second.backends) == [start + 5 * number for number in range(1, 11)]


async def test_without_anything_due_no_lock_is_taken(
    app: Penstock, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.periodic("0 0 1 1 *")(beat)
    scheduler = Scheduler(app, app.backends())
    monkeypatch.setattr(scheduler.backends.results.keys, "lock", lambda *_: pytest.fail("nothing is due"))
    for _ in range(10):
        assert await scheduler.poll() == loop.LONGEST
        clock.now += 60


@pytest.mark.parametrize(
    ("missed", "fired"),
    [("once", [5, 65]), ("skip", [5, 65]), ("all", [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65])],
)
async def test_missed_due_times_follow_the_policy(app: Penstock, clock: Clock, missed: Any, fired: list[int]) -> None:
    """A minute without any scheduler: the first of the missed is less than a minute late, so "skip" fires it too."""
    app.periodic(every=5, missed=missed)(beat)
    scheduler = Scheduler(app, app.backends())
    start = clock.now
    await settled(scheduler)
    clock.now += 62
    await settled(scheduler)
    clock.now += 4
    await settled(scheduler)
    assert await fired_at(scheduler.backends) == [start + after for after in fired]


async def test_a_run_that_is_too_late_is_skipped_if_asked_for(app: Penstock, clock: Clock, caplog: Any) -> None:
    app.periodic("0 8 * * *", missed="skip")(beat)
    app.periodic("0 8 * * *", name="late", args=())(app.tasks["beat"])
    scheduler = Scheduler(app, app.backends())
    clock.set("2026-03-01T07:00:00")
    await settled(scheduler)
    clock.set("2026-03-01T11:00:00")
    await settled(scheduler)
    assert [each.fired for each in await scheduler.backends.results.schedules.all()] == [0, 1]
    assert "schedule beat: skipped the run due 10800 s ago" in caplog.text
    for name in ("beat", "late"):
        assert (await entry(scheduler.backends, name)).next_due == datetime(2026, 3, 2, 8, tzinfo=UTC).timestamp()


async def test_a_paused_schedule_does_not_fire_and_a_resumed_one_does_from_now_on(app: Penstock, clock: Clock) -> None:
    app.periodic(every=5)(beat)
    scheduler = Scheduler(app, app.backends())
    await settled(scheduler)
    schedules = scheduler.backends.results.schedules
    await schedules.pause("beat", True)
    clock.now += 100
    assert await settled(scheduler) == loop.LONGEST
    await schedules.pause("beat", False)
    resumed = clock.now
    await settled(scheduler)
    assert await records(scheduler.backends) == []
    clock.now += 5
    await settled(scheduler)
    assert await fired_at(scheduler.backends) == [resumed + 5]


async def test_a_local_time_fires_once_a_day_across_both_clock_changes(app: Penstock, clock: Clock) -> None:
    app.periodic("30 2 * * *", timezone="Europe/Berlin")(beat)
    scheduler = Scheduler(app, app.backends())
    fired: list[str] = []
    for first, last in (("2026-03-28T00:00:00", "2026-03-31T00:00:00"), ("2026-10-24T00:00:00", "2026-10-27T00:00:00")):
        clock.set(last)
        end = clock.now
        clock.set(first)
        scheduler._synced = False
        await scheduler.backends.results.schedules.sync("shop", [])
        await settled(scheduler)
        while clock.now < end:
            clock.now += 600
            await settled(scheduler)
    fired = [datetime.fromtimestamp(due, UTC).isoformat()[:16] for due in await fired_at(scheduler.backends)]
    assert fired == [
        "2026-03-28T01:30",
        "2026-03-29T01:00",  # 02:30 does not exist that night: right after the gap, at 03:00
        "2026-03-30T00:30",
        "2026-10-24T00:30",
        "2026-10-25T00:30",  # 02:30 comes twice that night: the first one
        "2026-10-26T01:30",
    ]


async def test_options_and_arguments_go_with_the_task(app: Penstock, clock: Clock) -> None:
    @app.periodic(every=5, args=(1,), kwargs={"y": 2}, queue="slow", priority=6, expires=30)
    def add(x: int, y: int) -> int:
        return x + y

    scheduler = Scheduler(app, app.backends())
    await settled(scheduler)
    clock.now += 5
    await settled(scheduler)
    (record,) = await records(scheduler.backends)
    assert (record.task, record.queue, record.message.priority) == ("add", "slow", 6)
    assert (record.created_at, record.expires) == (clock.now, clock.now + 30)
    assert record.message.body.startswith(b'[[1],{"y":2}')


async def test_what_the_code_no_longer_has_is_gone_after_a_restart(app: Penstock) -> None:
    app.periodic(every=5)(beat)
    await settled(Scheduler(app, app.backends()))
    del app.schedules["beat"]
    app.periodic(every=7, name="other")(app.tasks["beat"])
    scheduler = Scheduler(app, app.backends())
    await settled(scheduler)
    assert [each.schedule.name for each in await scheduler.backends.results.schedules.all()] == ["other"]


async def test_an_unchanged_schedule_keeps_its_due_time_and_its_past_over_a_restart(
    app: Penstock, clock: Clock
) -> None:
    app.periodic(every=5)(beat)
    scheduler = Scheduler(app, app.backends())
    await settled(scheduler)
    clock.now += 5
    await settled(scheduler)
    before = await entry(scheduler.backends)
    clock.now += 2
    await settled(Scheduler(app, app.backends()))
    assert await entry(scheduler.backends) == before


async def test_on_disk_a_schedule_survives_a_restart_with_what_was_missed_and_paused(
    tmp_path: Path, clock: Clock
) -> None:
    def started() -> Penstock:
        app = Penstock("shop", broker=f"sqlite:///{tmp_path}/penstock.db", clock=clock)
        app.periodic(every=5)(beat)
        app.periodic(every=5, name="paused", args=())(app.tasks["beat"])
        return app

    start = clock.now
    async with (first := started()).backends() as backends:
        await settled(Scheduler(first, backends))
        await backends.results.schedules.pause("paused", True)
        clock.now += 5
        await settled(Scheduler(first, backends))
    clock.now += 12  # nobody runs
    async with (second := started()).backends() as backends:
        await settled(Scheduler(second, backends))
        assert await fired_at(backends) == [start + 5, start + 10]
        assert (await entry(backends)).next_due == start + 20
        assert (await entry(backends, "paused")).paused


async def test_a_schedule_that_cannot_be_submitted_neither_stops_the_others_nor_is_tried_in_a_loop(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def route(task: str, *_: object) -> str | None:
        if task == "broken":
            raise ValueError("no way")
        return None

    app = Penstock("shop", broker=f"memory://{uuid.uuid4().hex}", clock=clock, task_routes=route)

    @app.periodic(every=5)
    def broken() -> None: ...

    @app.periodic(every=5, kwargs={"what": "x" * 100})
    def large(what: str) -> None: ...

    app.periodic(every=5)(beat)
    object.__setattr__(app.settings, "max_body", 100)
    scheduler = Scheduler(app, app.backends())
    await settled(scheduler)
    clock.now += 5
    await settled(scheduler)
    assert [record.task for record in await records(scheduler.backends)] == ["beat"]
    entries = await scheduler.backends.results.schedules.all()
    assert {each.schedule.name: each.fired for each in entries} == {"beat": 1, "broken": 0, "large": 0}
    assert {each.next_due for each in entries} == {clock.now + 5}
    assert "schedule broken cannot be submitted" in caplog.text
    assert "ValueError: no way" in caplog.text
    assert "schedule large: the message body has" in caplog.text


async def test_a_fault_in_the_store_of_one_entry_does_not_stop_the_others(
    app: Penstock, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app.periodic(every=5)(beat)
    app.periodic(every=5, name="another")(app.tasks["beat"])
    scheduler = Scheduler(app, app.backends())
    await settled(scheduler)
    clock.now += 5
    schedules = scheduler.backends.results.schedules
    advance = schedules.advance

    def fragile(name: str, *rest: Any) -> Any:
        if name == "another":
            raise RuntimeError("whatever")
        return advance(name, *rest)

    monkeypatch.setattr(schedules, "advance", fragile)
    assert await scheduler.poll() == pytest.approx(loop.SHORTEST)
    assert (await entry(scheduler.backends)).fired == 1
    assert await scheduler.poll() == loop.RETRY
    assert "schedule another: unexpected error" in caplog.text


async def test_a_task_that_this_app_does_not_know_is_left_to_others_for_a_while(app: Penstock, clock: Clock) -> None:
    """In a rolling deployment the old code meets schedules of the new."""
    newer = Penstock("shop", broker=app.settings.broker_url, clock=clock)
    newer.periodic(every=5)(beat)
    await settled(Scheduler(newer, newer.backends()))
    old = Scheduler(app, app.backends())
    old._synced = True
    clock.now += 5
    await settled(old)
    assert await records(old.backends) == []
    clock.now += loop.STRANGER
    await settled(old)
    (record,) = await records(old.backends)
    assert record.task == "beat"


# ------------------------------------------------------------------------------------------------------------ running


class Watched(Scheduler):
    """Tells when it has looked; time passes for it as `waits` says."""

    def __init__(self, app: Penstock) -> None:
        super().__init__(app, app.backends())
        self.looks: asyncio.Queue[None] = asyncio.Queue()

    async def poll(self) -> float:
        try:
            return await super().poll()
        finally:
            self.looks.put_nowait(None)

    async def looked(self) -> None:
        async with asyncio.timeout(5):
            await self.looks.get()


async def running(scheduler: Watched, work: Callable[[], Any]) -> None:
    task = asyncio.create_task(scheduler.run())
    try:
        await scheduler.looked()
        await work()
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_sleeping_scheduler_sees_what_is_resumed_at_once(app: Penstock) -> None:
    app.periodic(every=1000)(beat)
    scheduler = Watched(app)

    async def work() -> None:
        await scheduler.looked()  # its own sync woke it
        schedules = scheduler.backends.results.schedules
        for paused in (True, False):
            await schedules.pause("beat", paused)
            await scheduler.looked()

    await running(scheduler, work)


@pytest.mark.parametrize("outage", [Unavailable("gone"), StorageError("full")])
async def test_an_outage_is_waited_out_and_told_once(
    app: Penstock, outage: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "penstock.scheduler")
    monkeypatch.setattr(loop, "RETRY", 0.0)
    app.periodic(every=5)(beat)
    scheduler = Watched(app)
    schedules = scheduler.backends.results.schedules
    due, tries = schedules.due, iter(range(5))

    def fragile(apps: Sequence[str]) -> Any:
        if next(tries, None) is not None:
            raise outage
        return due(apps)

    monkeypatch.setattr(schedules, "due", fragile)

    async def work() -> None:
        for _ in range(5):
            await scheduler.looked()

    await running(scheduler, work)
    assert caplog.text.count("schedules wait") == 1
    assert caplog.text.count("schedules go on") == 1


async def test_no_error_ends_it(
    app: Penstock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loop, "RETRY", 0.0)
    scheduler = Watched(app)
    failures = iter([RuntimeError("whatever"), KeyError("else")])
    due = scheduler.backends.results.schedules.due

    def fragile(apps: Sequence[str]) -> Any:
        if (failure := next(failures, None)) is not None:
            raise failure
        return due(apps)

    monkeypatch.setattr(scheduler.backends.results.schedules, "due", fragile)

    async def work() -> None:
        await scheduler.looked()
        await scheduler.looked()

    await running(scheduler, work)
    assert caplog.text.count("schedules: unexpected error") == 2


async def test_at_its_end_another_one_may_go_first_at_once(app: Penstock, clock: Clock) -> None:
    app.periodic(every=5)(beat)
    first, second = Watched(app), Scheduler(app, app.backends())
    await settled(second)
    clock.now += 5

    async def nothing() -> None: ...

    await running(first, nothing)
    assert first.leads
    clock.now += 5
    await settled(second)
    assert second.leads
    assert (await entry(second.backends)).fired == 2
