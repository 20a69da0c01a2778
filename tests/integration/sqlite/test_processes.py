"""Several processes on one file: all are served in turn, and a lock never reaches a user."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from penstock.core.errors import Unavailable
from tests.integration.sqlite.calling import add, called, driver, line, python, tell, values

WRITER = """
import sys, time
from pathlib import Path
from tests.integration.sqlite.calling import add, called, driver
on = driver(Path(sys.argv[1]), blocking=True)
called(on.open())
print("ready", flush=True)
sys.stdin.readline()
longest = 0.0
for turn in range(int(sys.argv[3])):
    start = time.perf_counter()
    called(add(on, sys.argv[2]))
    longest = max(longest, time.perf_counter() - start)
print(longest, flush=True)
called(on.close())
"""


@pytest.mark.alone
def test_busy_processes_take_turns_and_none_starves(tmp_path: Path) -> None:
    with ExitStack() as processes:
        writers = [processes.enter_context(python(WRITER, tmp_path, name, 1000)) for name in "abc"]
        assert [line(writer) for writer in writers] == ["ready"] * 3
        for writer in writers:
            tell(writer)
        longest = [float(line(writer)) for writer in writers]
        assert [writer.wait(30) for writer in writers] == [0, 0, 0]
    found = written(tmp_path)
    assert sorted(found) == ["a"] * 1000 + ["b"] * 1000 + ["c"] * 1000
    # while all three write, nobody writes for long alone, and nobody waits for long
    together = found[: min(index for index in (_last(found, name) for name in "abc"))]
    runs = [len(list(run)) for _, run in groupby(together)]
    # (a busy machine lets a process write until its turn on the processor ends; without turns it is hundreds)
    assert sum(runs) / len(runs) < 50
    assert max(longest) < 20


def written(folder: Path) -> list[Any]:
    """What all of them have written."""
    on = driver(folder, blocking=True)
    found = called(values(on))
    called(on.close())
    return found


def _last(found: list[str], name: str) -> int:
    return len(found) - 1 - found[::-1].index(name)


def test_many_processes_may_make_the_file_at_the_same_instant(tmp_path: Path) -> None:
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        at = str(time.time() + 1.0)
        program = WRITER.replace("on = driver", f"while time.time() < {at}: pass\non = driver")
        with ExitStack() as processes:
            writers = [processes.enter_context(python(program, folder, name, 5)) for name in range(6)]
            for writer in writers:
                tell(writer)
            assert [writer.wait(60) for writer in writers] == [0] * 6
        assert len(written(folder)) == 30


def test_a_process_that_is_killed_in_a_transaction_leaves_no_lock_and_no_trace(tmp_path: Path) -> None:
    program = """
import os, sys
from pathlib import Path
from tests.integration.sqlite.calling import add, called, driver
on = driver(Path(sys.argv[1]), blocking=True)
called(add(on, "whole"))

def half(connection):
    connection.execute("INSERT INTO rows (value) VALUES ('half')")
    os.kill(os.getpid(), 9)

called(on.write(half))
"""
    with python(program, tmp_path) as process:
        assert process.wait(30) == -signal.SIGKILL
    on = driver(tmp_path, blocking=True)
    called(add(on, "after"))
    assert called(values(on)) == ["whole", "after"]
    called(on.close())


def test_a_stranger_s_transaction_is_waited_for(tmp_path: Path) -> None:
    on = driver(tmp_path, blocking=True)
    called(on.open())
    stranger = sqlite3.connect(on.path, isolation_level=None, check_same_thread=False)
    stranger.execute("BEGIN IMMEDIATE")
    threading.Timer(1.5, stranger.execute, ["COMMIT"]).start()
    start = time.monotonic()
    called(add(on, "at last"))
    assert time.monotonic() - start > 1
    assert called(values(on)) == ["at last"]
    stranger.close()
    called(on.close())


def test_a_stranger_that_does_not_end_makes_the_store_unavailable_and_nothing_is_done(tmp_path: Path) -> None:
    on = driver(tmp_path, blocking=True, patience=0.3)
    called(on.open())
    stranger = sqlite3.connect(on.path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked by another program") as caught:
        called(add(on, "refused"))
    assert caught.value.unsent
    assert called(values(on)) == []
    stranger.execute("ROLLBACK")
    called(add(on, "taken"))
    assert called(values(on)) == ["taken"]
    stranger.close()
    called(on.close())


def test_a_stopped_process_of_our_own_makes_the_store_unavailable(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from tests.integration.sqlite.calling import called, driver
on = driver(Path(sys.argv[1]), blocking=True)

def stop(connection):
    print("stopping", flush=True)
    os.kill(os.getpid(), signal.SIGSTOP)

called(on.write(stop))
"""
    on = driver(tmp_path, blocking=True, patience=0.3)
    called(on.open())
    with python(program, tmp_path) as process:
        assert line(process) == "stopping"
        for _ in range(2):
            with pytest.raises(Unavailable, match="does not go on"):
                called(add(on, "refused"))
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(20) == 0
    called(add(on, "taken"))
    assert called(values(on)) == ["taken"]
    called(on.close())


def test_the_lock_that_was_given_up_is_not_kept_when_it_comes(tmp_path: Path) -> None:
    holder, waiter, third = (driver(tmp_path, blocking=True, patience=patience) for patience in (60, 0.2, 10))
    for each in (holder, waiter, third):
        called(each.open())

    def refused(_connection: sqlite3.Connection) -> None:
        with pytest.raises(Unavailable):
            called(add(waiter, "given up"))

    called(holder.write(refused))
    for turn in range(100):  # the lock that nobody waits for any more comes somewhere in between
        called(add(third, turn))
    called(add(waiter, "again"))
    assert called(values(holder)) == [*range(100), "again"]
    for each in (holder, waiter, third):
        called(each.close())
