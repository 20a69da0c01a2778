"""Listeners are woken after a commit, in every process, and cost nothing where there are none."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from penstock.core.step import commit
from penstock.drivers.sqlite import wake
from tests.integration.sqlite.calling import add, called, driver, fail, line, python, tell, values


def fifos(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "p.db-wake").iterdir())


def full(fifo: int) -> bool:
    """Write a page; whether there was no room for it."""
    try:
        os.write(fifo, bytes(4096))
    except BlockingIOError:
        return True
    return False


class TestListening:
    async def test_a_commit_wakes_the_listeners_of_its_topics_and_no_others(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        mail, records, more = on.listen("mail"), on.listen("records"), on.listen("mail")
        await add(on, wakes="mail messages")
        assert [await watch.wait(0) for watch in (mail, more)] == [True, True]
        assert not records._drained()
        assert on.counters.wakes == 2
        await on.close()

    async def test_a_failed_commit_wakes_nobody(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        with pytest.raises(LookupError):
            await commit(add(on, wakes="mail"), fail(on))
        assert not watch._drained()
        await on.close()

    async def test_what_the_listener_finds_when_woken_is_committed(self, tmp_path: Path) -> None:
        one, other = driver(tmp_path), driver(tmp_path)
        watch = other.listen("mail")
        for turn in range(100):
            await add(one, turn, wakes="mail")
            assert await watch.wait(5)
            assert await values(other) == list(range(turn + 1))
        await one.close()
        await other.close()

    async def test_a_listener_made_at_the_same_moment_is_not_missed(self, tmp_path: Path) -> None:
        one, other = driver(tmp_path), driver(tmp_path)
        await one.open()
        for _ in range(200):
            await add(one, wakes="mail")
            watch = other.listen("mail")
            await add(one, wakes="mail")
            assert watch._drained()
            await watch.close()
        await one.close()
        await other.close()

    async def test_many_wake_ups_are_one(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        for _ in range(30):
            await add(on, wakes="mail")
        assert await watch.wait(0)
        assert not watch._drained()
        await on.close()

    async def test_a_fifo_that_is_full_of_wake_ups_stops_nobody(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        while not full(watch._file):
            pass
        await add(on, wakes="mail")
        watch.poke()
        assert await watch.wait(0)
        await on.close()

    async def test_a_poke_wakes_the_sleeper(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        sleeping = asyncio.create_task(watch.wait(20))
        await asyncio.sleep(0.02)
        watch.poke()
        assert await sleeping
        await on.close()

    async def test_closing_ends_the_sleep_and_removes_the_fifo(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        sleeping = asyncio.create_task(watch.wait(20))
        await asyncio.sleep(0.02)
        assert len(fifos(tmp_path)) == 1
        await watch.close()
        await watch.close()
        assert await sleeping
        assert fifos(tmp_path) == []
        watch.poke()
        await on.close()

    async def test_a_listener_that_is_forgotten_leaves_nothing_behind(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        assert len(fifos(tmp_path)) == 1
        del watch
        assert fifos(tmp_path) == []
        await on.close()

    async def test_waiting_ends_after_its_time(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        start = time.monotonic()
        assert not await watch.wait(0.2)
        assert time.monotonic() - start > 0.19
        await on.close()

    def test_in_blocking_mode_the_caller_s_thread_sleeps(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wake, "SAFETY_NET", 300.0)  # it is woken, and not caught
        on = driver(tmp_path, blocking=True)
        watch = on.listen("mail")
        assert not called(watch.wait(0.05))
        threading.Timer(0.1, lambda: called(add(on, wakes="mail"))).start()
        assert called(watch.wait(60))
        called(on.close())


class TestOtherProcesses:
    def test_a_commit_there_wakes_the_listener_here(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(wake, "SAFETY_NET", 300.0)  # it is woken, and not caught
        program = """
import sys
from pathlib import Path
from tests.integration.sqlite.calling import add, called, driver
on = driver(Path(sys.argv[1]), blocking=True)
for _ in sys.stdin:
    called(add(on, wakes="mail"))
called(on.close())
"""
        on = driver(tmp_path, blocking=True)
        watch = on.listen("mail")
        with python(program, tmp_path) as process:
            for _ in range(10):
                tell(process)
                assert called(watch.wait(60))
        called(on.close())

    def test_what_a_killed_listener_leaves_is_swept_by_the_next_writer(self, tmp_path: Path) -> None:
        program = """
import sys
from pathlib import Path
from tests.integration.sqlite.calling import driver
watch = driver(Path(sys.argv[1]), blocking=True).listen("mail")
print("ready", flush=True)
sys.stdin.readline()
"""
        on = driver(tmp_path, blocking=True)
        called(add(on, wakes="mail"))
        with python(program, tmp_path) as process:
            assert line(process) == "ready"
            called(add(on, wakes="mail"))
            assert on.counters.wakes == 1
            assert len(fifos(tmp_path)) == 1
        for _ in range(2):
            called(add(on, wakes="mail"))
        assert on.counters.wakes == 1
        assert fifos(tmp_path) == []
        called(on.close())

    async def test_a_stranger_s_commit_is_noticed_by_the_safety_net(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        sleeping = asyncio.create_task(watch.wait(20))
        await asyncio.sleep(0.1)
        stranger = sqlite3.connect(on.path)
        with stranger:
            stranger.execute("INSERT INTO rows (value) VALUES ('stranger')")
        stranger.close()
        assert await sleeping
        await on.close()

    async def test_a_quiet_file_wakes_nobody(self, tmp_path: Path) -> None:
        on = driver(tmp_path)
        watch = on.listen("mail")
        assert not await watch.wait(2.2 * wake.SAFETY_NET)
        await on.close()
