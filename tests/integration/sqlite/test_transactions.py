"""Group commit: calls that meet share a transaction, and each stands or falls by itself."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.core.errors import Unavailable
from penstock.core.step import commit
from penstock.drivers.sqlite import SQLite
from penstock.drivers.sqlite.haste import AT_ONCE
from tests.integration.sqlite.calling import add, called, driver, fail, until, values


@contextmanager
def occupied(on: SQLite) -> Iterator[None]:
    """A transaction is in flight, started by another thread, until the block ends."""
    begun, finish = threading.Event(), threading.Event()

    def hold(_connection: sqlite3.Connection) -> None:
        begun.set()
        finish.wait(20)

    thread = threading.Thread(target=lambda: called(on.write(hold)))
    thread.start()
    begun.wait(20)
    try:
        yield
    finally:
        finish.set()
        thread.join()


class TestLoopMode:
    async def test_calls_that_meet_share_a_transaction(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        await on.open()
        found = await asyncio.gather(*(commit(add(on, turn)) for turn in range(300)))
        assert sorted(number for [number] in found) == list(range(1, 301))
        assert await values(on) == list(range(300))
        assert on.counters.transactions < 30
        assert on.counters.hand_overs < 40
        await on.close()

    async def test_only_the_guilty_call_fails(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        calls = [commit(add(on, turn), *([fail(on)] if turn % 10 == 3 else [])) for turn in range(50)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        failed = [turn for turn, answer in enumerate(answers) if isinstance(answer, LookupError)]
        assert failed == [3, 13, 23, 33, 43]
        assert await values(on) == [turn for turn in range(50) if turn not in failed]
        await on.close()

    async def test_reads_do_not_wait_for_writers(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        await add(on, "before")
        release = threading.Event()

        def hold(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT INTO rows (value) VALUES ('meanwhile')")
            release.wait(20)

        writing = asyncio.create_task(commit(on.write(hold)))
        await asyncio.sleep(0)
        assert await values(on) == ["before"]
        assert not writing.done()
        release.set()
        await writing
        assert await values(on) == ["before", "meanwhile"]
        await on.close()

    async def test_the_steps_of_one_read_see_one_state(self, tmp_path: Path) -> None:
        on, other = driver(tmp_path), driver(tmp_path, blocking=True)
        await on.open()

        def disturb(_connection: sqlite3.Connection) -> None:
            called(add(other, "disturbance"))

        one, _, two = await commit(values(on), on.read(disturb), values(on))
        assert one == two == []
        assert await values(on) == ["disturbance"]
        await on.close()
        called(other.close())

    async def test_a_step_that_only_reads_may_be_committed_with_writes(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        assert await commit(add(on, "a"), values(on), add(on, "b"), values(on)) == [1, ["a"], 2, ["a", "b"]]
        assert on.counters.transactions == 1
        await on.close()

    async def test_a_caller_that_gives_up_disturbs_nobody(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        await on.open()
        tasks = [asyncio.create_task(commit(add(on, turn))) for turn in range(20)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [turn for turn, answer in enumerate(answers) if not isinstance(answer, list)] == [3]
        assert set(await values(on)) >= set(range(20)) - {3}
        await on.close()

    async def test_several_loops_may_use_one_driver(self, tmp_path: Path) -> None:
        on = driver(tmp_path)

        async def many() -> None:
            await asyncio.gather(*(commit(add(on)) for _ in range(50)))

        await asyncio.gather(many(), *(asyncio.to_thread(asyncio.run, many()) for _ in range(3)))
        assert len(await values(on)) == 200
        await on.close()

    async def test_a_closed_driver_says_so_and_can_be_opened_again(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        await on.close()
        await add(driver(tmp_path, blocking=True), "a")
        with pytest.raises(Unavailable, match="closed"):
            await values(on)
        await on.open()
        await on.open()
        assert await values(on) == ["a"]
        await on.close()
        await on.close()

    async def test_closing_finishes_what_waits(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        await on.open()
        writing = [asyncio.create_task(commit(add(on, turn))) for turn in range(100)]
        await asyncio.sleep(0)
        await on.close()
        await asyncio.gather(*writing)
        await on.open()
        assert len(await values(on)) == 100
        await on.close()

    def test_a_loop_that_ends_before_its_answer_leaves_the_driver_working(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        entered, release = threading.Event(), threading.Event()

        def hold(_connection: sqlite3.Connection) -> None:
            entered.set()
            release.wait(20)

        async def abandon() -> None:
            waiting = asyncio.create_task(commit(on.write(hold)))
            await asyncio.to_thread(entered.wait, 20)
            waiting.cancel()

        asyncio.run(abandon())
        release.set()

        async def go_on() -> None:
            await add(on, "later")
            assert await values(on) == ["later"]
            await on.close()

        asyncio.run(go_on())


class TestBlockingMode:
    def test_nothing_is_suspended(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        called(on.open())
        assert called(commit(add(on, "a"), values(on))) == [1, ["a"]]
        assert called(values(on)) == ["a"]
        called(on.close())

    def test_threads_that_meet_share_a_transaction(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(called(add(on)))) for _ in range(20)]
        with occupied(on):
            before = on.counters.transactions
            for thread in threads:
                thread.start()
            until(lambda: on.waiting == 20)
        for thread in threads:
            thread.join()
        assert sorted(found) == list(range(1, 21))
        assert on.counters.transactions == before + 2  # the one that was in flight, and one for all
        called(on.close())

    def test_only_the_guilty_thread_fails(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        answers: dict[int, object] = {}

        def write(turn: int) -> None:
            try:
                answers[turn] = called(commit(add(on, turn), *([fail(on)] if turn == 4 else [])))
            except LookupError as error:
                answers[turn] = error

        threads = [threading.Thread(target=write, args=(turn,)) for turn in range(10)]
        with occupied(on):
            for thread in threads:
                thread.start()
            until(lambda: on.waiting == 10)
        for thread in threads:
            thread.join()
        assert [turn for turn, answer in sorted(answers.items()) if isinstance(answer, LookupError)] == [4]
        assert sorted(called(values(on))) == [0, 1, 2, 3, 5, 6, 7, 8, 9]
        called(on.close())

    def test_an_interrupt_ends_one_thread_s_call_and_no_other(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        signals = iter(["Ctrl-C"])
        interrupted: list[int] = []

        def interrupt(_connection: sqlite3.Connection) -> None:
            if next(signals, None):
                raise KeyboardInterrupt

        def write(turn: int) -> None:
            try:
                called(commit(add(on, turn), on.write(interrupt)))
            except KeyboardInterrupt:
                interrupted.append(turn)

        threads = [threading.Thread(target=write, args=(turn,)) for turn in range(6)]
        with occupied(on):
            for thread in threads:
                thread.start()
            until(lambda: on.waiting == 6)
        for thread in threads:
            thread.join()
        assert len(interrupted) == 1
        assert sorted(called(values(on))) == sorted(set(range(6)) - set(interrupted))
        called(on.close())


class TestHaste:
    """The file's lock is never held while a thread that computes keeps the interpreter's lock for 5 ms at a time."""

    async def test_threads_switch_at_once_during_a_transaction(self, tmp_path: Path, usual: float) -> None:
        on = driver(tmp_path)
        assert await on.write(lambda _: sys.getswitchinterval()) == pytest.approx(AT_ONCE)
        await on.close()
        assert sys.getswitchinterval() == usual

    async def test_and_as_usual_after_one_that_fails(self, tmp_path: Path, usual: float) -> None:
        on = driver(tmp_path)
        with pytest.raises(LookupError):
            await fail(on)
        await on.close()
        assert sys.getswitchinterval() == usual

    def test_of_several_files_the_last_to_be_through_sets_it_back(self, tmp_path: Path, usual: float) -> None:
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        with occupied(driver(tmp_path / "a", blocking=True)):
            with occupied(driver(tmp_path / "b", blocking=True)):
                pass
            assert sys.getswitchinterval() == pytest.approx(AT_ONCE)
        assert sys.getswitchinterval() == usual


@pytest.fixture
def usual() -> Iterator[float]:
    """What the program has set."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.003)
    yield sys.getswitchinterval()
    sys.setswitchinterval(before)
