"""A forked child never touches its parent's connections, and both go on."""

from __future__ import annotations

from pathlib import Path

from tests.integration.sqlite.calling import add, called, driver, line, python, tell, values

#: what every program here begins with
PRELUDE = """
import asyncio, ctypes, os, sqlite3, sys, threading, time
from pathlib import Path
from penstock.core.errors import StorageError
from penstock.core.step import commit
from tests.integration.sqlite.calling import add, called, driver, fail, line, until, values
folder = Path(sys.argv[1])

def tell(*what):
    print(*what, flush=True)

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def run(program: str, folder: Path) -> list[str]:
    """The lines that a program prints."""
    with python(PRELUDE + program, folder) as process:
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output.splitlines()


def written(folder: Path) -> list[str]:
    """What all of them have written."""
    on = driver(folder, blocking=True)
    found = called(values(on))
    called(on.close())
    return found


def test_parent_and_children_write_on_after_a_fork(tmp_path: Path) -> None:
    run(
        """
on = driver(folder, blocking=True)
called(add(on, "before"))
children = []
for child in range(3):
    if not (pid := os.fork()):
        for turn in range(50):
            called(add(on, f"child {child}"))
        os._exit(0)
    children.append(pid)
    called(add(on, "parent"))
for turn in range(50):
    called(add(on, "parent"))
assert [ended(pid) for pid in children] == [0, 0, 0]
""",
        tmp_path,
    )
    found = written(tmp_path)
    counts = {value: found.count(value) for value in found}
    assert counts == {"before": 1, "parent": 53, "child 0": 50, "child 1": 50, "child 2": 50}


def test_a_driver_of_a_loop_goes_on_in_the_parent_and_in_a_loop_of_the_child(tmp_path: Path) -> None:
    run(
        """
on = driver(folder)

async def write(what):
    await asyncio.gather(*(commit(add(on, what)) for _ in range(50)))

async def parent():
    await write("before")
    if not (pid := os.fork()):
        asyncio._set_running_loop(None)
        asyncio.run(write("child"))
        os._exit(0)
    await write("parent")
    assert ended(pid) == 0

asyncio.run(parent())
""",
        tmp_path,
    )
    found = written(tmp_path)
    assert {value: found.count(value) for value in found} == {"before": 50, "parent": 50, "child": 50}


def test_threads_may_fork_at_the_same_time(tmp_path: Path) -> None:
    run(
        """
drivers = [driver(folder, blocking=True) for _ in range(3)]
for on in drivers:
    called(on.open())

def fork_often():
    for _ in range(20):
        called(add(drivers[0], "parent"))
        if not (pid := os.fork()):
            called(add(drivers[1], "child"))
            os._exit(0)
        assert ended(pid) == 0

threads = [threading.Thread(target=fork_often) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
""",
        tmp_path,
    )
    found = written(tmp_path)
    assert {value: found.count(value) for value in found} == {"parent": 80, "child": 80}


def test_a_fork_waits_for_the_transaction_that_is_in_flight(tmp_path: Path) -> None:
    run(
        """
on = driver(folder, blocking=True)
begun = threading.Event()

def slow(connection):
    connection.execute("INSERT INTO rows (value) VALUES ('slow')")
    begun.set()
    time.sleep(0.3)

writing = threading.Thread(target=lambda: called(on.write(slow)))
writing.start()
begun.wait()
if not (pid := os.fork()):
    assert called(values(on)) == ["slow"]
    called(add(on, "child"))
    os._exit(0)
assert ended(pid) == 0
writing.join()
assert called(values(on)) == ["slow", "child"]
""",
        tmp_path,
    )


def test_a_child_that_outlives_its_killed_parent_does_not_keep_its_lock(tmp_path: Path) -> None:
    program = """
on = driver(folder, blocking=True)
called(on.open())
called(add(on, "before"))
if not os.fork():
    sys.stdin.readline()
    os._exit(0)

def die(connection):
    tell("dying")
    os.kill(os.getpid(), 9)

called(on.write(die))
"""
    with python(PRELUDE + program, tmp_path) as process:
        assert line(process) == "dying"
        process.wait(20)
        other = driver(tmp_path, blocking=True, patience=5)
        called(add(other, "after"))
        assert called(values(other)) == ["before", "after"]
        called(other.close())
        tell(process)


def test_the_parent_s_listener_hears_on_after_its_child_has_ended(tmp_path: Path) -> None:
    run(
        """
from penstock.drivers.sqlite import wake
wake.SAFETY_NET = 300.0  # it is woken, and not caught
on = driver(folder)

async def parent():
    watch = on.listen("mail")
    sleeping = asyncio.create_task(watch.wait(20))
    await asyncio.sleep(0.05)
    if not (pid := os.fork()):
        asyncio._set_running_loop(None)
        asyncio.run(on.close())
        os._exit(0)
    assert ended(pid) == 0
    await add(on, wakes="mail")
    assert await sleeping
    await watch.close()

asyncio.run(parent())
""",
        tmp_path,
    )


def test_the_child_s_write_ahead_log_survives_the_parent_s_end(tmp_path: Path) -> None:
    program = """
on = driver(folder, blocking=True)
called(add(on, "parent"))
if not os.fork():
    for turn in range(20):
        called(add(on, turn))
    tell("written")
    sys.stdin.readline()
    for turn in range(20, 40):
        called(add(on, turn))
    tell("written")
    os._exit(0)
called(on.close())
os._exit(0)
"""
    with python(PRELUDE + program, tmp_path) as process:
        process.wait(20)
        assert line(process) == "written"
        tell(process)
        assert line(process) == "written"
    on = driver(tmp_path, blocking=True)
    assert called(values(on)) == ["parent", *range(40)]
    assert called(on.read(lambda connection: connection.execute("PRAGMA integrity_check").fetchall())) == [("ok",)]
    called(on.close())


def test_a_fork_that_python_was_not_told_of_is_refused_with_what_to_do(tmp_path: Path) -> None:
    found = run(
        """
on = driver(folder, blocking=True)
called(add(on, "parent"))
if not (pid := ctypes.CDLL(None).fork()):
    ctypes.pythonapi.PyOS_AfterFork_Child()
    try:
        called(add(on, "child"))
    except StorageError as error:
        tell(error)
    os._exit(0)
assert ended(pid) == 0
called(add(on, "parent"))
assert called(values(on)) == ["parent", "parent"]
""",
        tmp_path,
    )
    assert len(found) == 1
    assert "lazy-apps" in found[0]
