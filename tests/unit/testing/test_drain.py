"""penstock.testing: an app in memory, drained by hand, in a time of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from penstock.client.app import Penstock
from penstock.client.task import Task
from penstock.core.errors import TimeLimitExceeded
from penstock.testing import Clock, adrain, drain, fire_schedules, memory, submitted
from penstock.worker.executor import Executor

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clock(app: Penstock) -> Iterator[Clock]:
    with memory(app, at=START) as found:
        yield found


class TestTheClock:
    def test_it_stands_still_until_it_is_moved(self) -> None:
        clock = Clock(START)
        assert clock() == clock() == START.timestamp()
        clock.advance(60)
        clock.advance(timedelta(minutes=1))
        assert clock.now == START + timedelta(minutes=2)
        clock.move_to(datetime(2026, 3, 2))  # noqa: DTZ001 - without a zone it is UTC
        assert clock.now == datetime(2026, 3, 2, tzinfo=UTC)
        assert repr(clock) == "<Clock 2026-03-02T00:00:00+00:00>"

    def test_it_does_not_go_back(self) -> None:
        with pytest.raises(ValueError, match="time does not go back"):
            Clock(START).advance(-1)
        with pytest.raises(ValueError, match="time does not go back"):
            Clock(START).move_to(0)


class TestMemory:
    def test_the_app_has_its_own_places_back_afterwards(self, app: Penstock) -> None:
        before = (app.settings, app.portal, app.clock)
        urls = []

        def test() -> None:
            with memory(app):
                urls.append(app.settings.broker_url)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            test()
        assert urls[0].startswith("memory://")
        assert (app.settings, app.portal, app.clock) == before

    def test_each_time_it_is_empty(self, app: Penstock) -> None:
        task = app.task(noop)
        for _ in range(2):
            with memory(app):
                task.apply_async(task_id="same")
                assert len(submitted(app)) == 1

    def test_times_are_those_of_the_clock(self, app: Penstock, clock: Clock) -> None:
        result = app.task(noop).apply_async(countdown=30)
        assert submitted(app)[0].eta == clock() + 30
        clock.advance(30)
        drain(app)
        assert result.date_done == START + timedelta(seconds=30)


def noop() -> None: ...


@pytest.mark.usefixtures("clock")
class TestDraining:
    def test_everything_runs_with_what_it_submits_and_the_results_are_there(self, app: Penstock) -> None:
        @app.task
        def add(x: int, y: int) -> int:
            return x + y

        @app.task
        def fan(n: int) -> int:
            for number in range(n):
                add.apply_async((number, 1), queue=f"q{number}")
            return n

        result = fan.delay(3)
        assert result.status == "PENDING"
        ended = drain(app)
        assert ended[0].get() == 3
        assert sorted(each.get() for each in ended[1:]) == [1, 2, 3]
        assert ended[0] == result
        assert [child.get() for child in result.children] == [1, 2, 3]
        assert drain(app) == []

    def test_plain_functions_run_on_the_thread_that_called_one_at_a_time(self, app: Penstock) -> None:
        where: list[int] = []
        inside = threading.Lock()

        @app.task
        def work() -> None:
            with inside:
                where.append(threading.get_ident())
                asyncio.run(asyncio.sleep(0))  # a task may run a loop of its own

        for _ in range(50):
            work.delay()
        assert len(drain(app)) == 50
        assert set(where) == {threading.get_ident()}

    def test_coroutines_run_beside_one_another(self, app: Penstock) -> None:
        meeting: dict[str, Any] = {}

        @app.task
        async def meet() -> None:
            meeting.setdefault("barrier", asyncio.Barrier(3))
            await meeting["barrier"].wait()

        results = [meet.delay() for _ in range(3)]
        drain(app)
        assert all(result.successful() for result in results)

    def test_many_tasks_are_no_matter(self, app: Penstock) -> None:
        task = app.task(noop)
        for _ in range(1000):
            task.delay()
        assert len(drain(app)) == 1000

    def test_a_failure_is_a_result_or_is_raised_at_the_end(self, app: Penstock) -> None:
        @app.task
        def fail() -> None:
            raise ValueError("no")

        (ended,) = (fail.delay(), drain(app))[1]
        assert ended.failed()
        assert "in fail" in (ended.traceback or "")
        fail.delay()
        after = app.task(noop).delay()
        with pytest.raises(ValueError, match="no"):
            drain(app, propagate=True)
        assert after.successful()

    def test_ctrl_c_ends_the_test_and_not_the_task(self, app: Penstock) -> None:
        @app.task
        def interrupted() -> None:
            raise KeyboardInterrupt

        interrupted.delay()
        with pytest.raises(KeyboardInterrupt):
            drain(app)

    def test_a_retry_waits_for_its_time(self, app: Penstock, clock: Clock) -> None:
        tries: list[float] = []

        @app.task(max_retries=2, default_retry_delay=60)
        def flaky() -> str:
            tries.append(clock())
            if len(tries) < 3:
                raise ValueError("not yet")
            return "done"

        result = flaky.delay()
        assert drain(app) == []
        assert result.status == "RETRY"
        clock.advance(59)
        assert drain(app) == []
        clock.advance(1)
        assert drain(app) == []
        clock.advance(60)
        assert drain(app) == [result]
        assert result.get() == "done"
        assert tries == [START.timestamp() + 60 * number for number in range(3)]

    def test_the_clock_is_advanced_to_whatever_waits_if_asked_for(self, app: Penstock, clock: Clock) -> None:
        order: list[str] = []

        @app.task(bind=True, max_retries=5, retry_backoff=True)
        def note(self: Task, what: str, fail: int = 0) -> None:
            if self.request.retries < fail:
                raise ValueError(what)
            order.append(what)

        note.apply_async(("late",), countdown=3600)
        note.apply_async(("soon",), countdown=60)
        note.delay("now")
        note.delay("after retries", 5)
        drain(app, delayed=True)
        assert order == ["now", "after retries", "soon", "late"]
        assert clock() == START.timestamp() + 3600

    def test_a_clock_that_is_not_the_tests_is_not_moved(self, app: Penstock) -> None:
        with memory(app):
            app.clock = lambda: 1_700_000_000.0
            app.task(noop).apply_async(countdown=60)
            with pytest.raises(TypeError, match="within memory"):
                drain(app, delayed=True)

    def test_expired_and_revoked_tasks_do_not_run(self, app: Penstock, clock: Clock) -> None:
        task = app.task(noop)
        expired, revoked = task.apply_async(expires=60), task.delay()
        revoked.revoke()
        clock.advance(61)
        assert drain(app) == [expired]
        assert (expired.status, revoked.status) == ("REVOKED", "REVOKED")

    def test_a_paused_queue_is_left_alone(self, app: Penstock) -> None:
        result = app.task(noop).delay()
        pause(app, True)
        assert drain(app) == []
        pause(app, False)
        assert drain(app) == [result]

    def test_time_limits_hold(self, app: Penstock) -> None:
        @app.task(time_limit=0.05)
        def endless() -> None:
            while True:
                pass

        result = endless.delay()
        drain(app)
        assert isinstance(result.get(propagate=False), TimeLimitExceeded)

    def test_an_unknown_task_fails_as_in_a_worker(self, app: Penstock) -> None:
        result = app.send_task("nobody")
        drain(app)
        assert result.failed()

    def test_progress_is_kept(self, app: Penstock) -> None:
        seen: list[Any] = []

        @app.task(bind=True)
        async def climb(self: Task) -> None:
            self.progress(0.5, "half")
            while not (progress := await app.AsyncResult(self.request.id).aprogress()):  # noqa: ASYNC110 - written by this very loop
                await asyncio.sleep(0)
            seen.append(progress)

        climb.delay()
        drain(app)
        assert seen[0]["message"] == "half"

    async def test_on_a_loop_there_is_an_a_twin(self, app: Penstock) -> None:
        loops: list[object] = []

        @app.task
        async def inside() -> None:
            loops.append(asyncio.get_running_loop())

        @app.task
        def fail() -> None:
            raise ValueError("no")

        with pytest.raises(RuntimeError, match="use `await adrain"):
            drain(app)
        await inside.adelay()
        (ended,) = await adrain(app)
        assert await ended.asuccessful()
        assert loops == [asyncio.get_running_loop()]
        await fail.adelay()
        with pytest.raises(ValueError, match="no"):
            await adrain(app, propagate=True)

    def test_what_breaks_the_engine_is_raised(self, app: Penstock, monkeypatch: pytest.MonkeyPatch) -> None:
        async def broken(_: Executor) -> None:
            raise OSError("broken")

        monkeypatch.setattr(Executor, "run", broken)
        app.task(noop).delay()
        with pytest.raises(OSError, match="broken"):
            drain(app)


def pause(app: Penstock, paused: bool) -> None:
    async def work(submitter: Any) -> None:
        await submitter.backends.broker.pause("default", paused)

    app.portal.call(work)


class TestSchedules:
    def test_what_is_due_by_the_clock_is_submitted(self, app: Penstock) -> None:
        beats: list[int] = []

        @app.periodic("0 * * * *", args=(7,))
        def beat(number: int) -> None:
            beats.append(number)

        with memory(app, at=START) as clock:
            assert fire_schedules(app) == []
            clock.advance(3600)
            (result,) = fire_schedules(app)
            assert fire_schedules(app) == []
            assert drain(app) == [result]
            clock.advance(7 * 3600)
            assert len(fire_schedules(app)) == 1, "those that were missed are one"
        assert beats == [7]


def test_the_names_are_there_and_no_others() -> None:
    import penstock.testing  # noqa: PLC0415 - to look at the module itself

    assert all(hasattr(penstock.testing, name) for name in penstock.testing.__all__)
    assert dir(penstock.testing) == sorted(penstock.testing.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = penstock.testing.nothing
