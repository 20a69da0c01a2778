"""Files and disks that misbehave: one clear line, and nothing that was answered is lost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.core.errors import StorageError, Unavailable
from penstock.drivers.sqlite import SQLite, file, transactions
from tests.integration.sqlite.calling import ROWS, add, called, driver, python, values


def refused(folder: Path, match: str, **options: object) -> str:
    """The one line that opening a driver is refused with."""
    on = driver(folder, blocking=True, **options)
    with pytest.raises(StorageError, match=match) as caught:
        called(on.open())
    called(on.close())
    text = str(caught.value)
    assert "\n" not in text
    assert str(folder) in text
    return text


def fill(on: SQLite, answered: list[str]) -> None:
    """Write until it is refused; what was answered is added to `answered`."""
    for turn in range(1000):
        called(add(on, f"{turn:01000}"))
        answered.append(f"{turn:01000}")


class TestFullDisk:
    def test_a_full_disk_loses_nothing_and_work_goes_on_when_there_is_space(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        called(add(on, "first"))
        called(on.write(lambda connection: connection.execute("PRAGMA max_page_count = 60").fetchone()))
        answered = ["first"]
        with pytest.raises(Unavailable, match="free some space") as caught:
            fill(on, answered)
        assert caught.value.unsent
        assert 10 < len(answered) < 1000
        assert called(values(on)) == answered
        called(on.write(lambda connection: connection.execute("PRAGMA max_page_count = 100000").fetchone()))
        called(add(on, "later"))
        called(on.close())
        assert called(values(driver(tmp_path, blocking=True))) == [*answered, "later"]

    def test_writes_that_the_system_refuses_lose_nothing(self, tmp_path: Path) -> None:
        program = """
import resource, sys
from pathlib import Path
from penstock.core.errors import Unavailable
from tests.integration.sqlite.calling import add, called, driver, values
on = driver(Path(sys.argv[1]), blocking=True)
called(add(on, "first"))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
answered = ["first"]
try:
    for turn in range(1000):
        called(add(on, f"{turn:01000}"))
        answered.append(f"{turn:01000}")
    sys.exit("the disk was never full")
except Unavailable as error:
    print(error)
for _ in range(3):
    try:
        called(add(on, "x" * 400_000))
        sys.exit("the disk has room again")
    except Unavailable:
        pass
assert called(values(on)) == answered
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
called(add(on, "later"))
assert called(values(on)) == [*answered, "later"]
called(on.close())
print(len(answered))
"""
        with python(program, tmp_path) as process:
            output, _ = process.communicate(timeout=60)
        said, count = output.splitlines()
        assert str(tmp_path) in said
        found = called(values(driver(tmp_path, blocking=True)))
        assert len(found) == int(count) + 1
        assert found[-1] == "later"

    def test_a_call_that_is_too_large_for_the_disk_does_not_take_its_neighbours_with_it(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        called(add(on, "first"))
        called(on.write(lambda connection: connection.execute("PRAGMA max_page_count = 60").fetchone()))
        begun, finish = threading.Event(), threading.Event()
        answers: list[object] = []

        def hold(_connection: sqlite3.Connection) -> None:
            begun.set()
            finish.wait(20)

        def write(value: str) -> None:
            try:
                answers.append(called(add(on, value)))
            except Unavailable as error:
                answers.append(error)

        holding = threading.Thread(target=lambda: called(on.write(hold)))
        holding.start()
        begun.wait(20)
        threads = [threading.Thread(target=write, args=(value,)) for value in ("a", "x" * 1_000_000, "b")]
        for thread in threads:
            thread.start()
        while on.waiting < 3:
            pass
        finish.set()
        for thread in [holding, *threads]:
            thread.join()
        assert sum(isinstance(answer, Unavailable) for answer in answers) == 1
        assert sorted(called(values(on))) == ["a", "b", "first"]
        called(on.close())


class TestFile:
    def test_a_file_that_is_no_database_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "p.db").write_bytes(b"This is a letter to my aunt.\n" * 200)
        refused(tmp_path, "not an SQLite database")
        assert (tmp_path / "p.db").read_bytes().startswith(b"This is a letter")

    def test_a_damaged_file_is_refused_or_says_so_when_the_damage_is_met(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        for turn in range(200):
            called(add(on, f"{turn:0500}"))
        called(on.close())
        content = bytearray((tmp_path / "p.db").read_bytes())
        content[4096:] = b"\xa5" * (len(content) - 4096)
        (tmp_path / "p.db").write_bytes(content)
        on = driver(tmp_path, blocking=True)
        with pytest.raises(StorageError, match="is damaged; restore it") as caught:
            called(values(on))
        assert on.path in str(caught.value)
        called(on.close())

    def test_a_missing_directory_is_named(self, tmp_path: Path) -> None:
        refused(tmp_path / "missing", "there is no directory")

    def test_a_path_that_is_a_directory_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "p.db").mkdir()
        refused(tmp_path, "cannot be opened")

    def test_a_newer_schema_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        newer = SQLite(str(tmp_path / "p.db"), blocking=True)
        newer.require("test", [*ROWS, "CREATE TABLE future (x)"], version=7)
        called(newer.open())
        called(newer.close())
        refused(tmp_path, "newer Penstock .version 7 of test, known here: 1.; upgrade")

    def test_an_older_schema_is_brought_up_to_date(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        called(add(on, "old"))
        called(on.close())
        newer = SQLite(str(tmp_path / "p.db"), blocking=True)
        newer.require("test", [*ROWS, "CREATE TABLE IF NOT EXISTS more (x)"], version=2)
        called(newer.write(lambda connection: connection.execute("INSERT INTO more VALUES (1)")))
        assert called(values(newer)) == ["old"]
        called(newer.close())

    def test_a_part_that_comes_later_gets_its_tables(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        called(add(on))
        assert called(values(on)) == [None]
        on.require("late", ["CREATE TABLE IF NOT EXISTS late (x)"])
        called(on.open())
        called(on.write(lambda connection: connection.execute("INSERT INTO late VALUES (1)")))
        called(on.close())

    def test_a_network_file_system_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(file, "mount_table", lambda: [("/", "nfs4")])
        refused(tmp_path, "network file system")
        assert not (tmp_path / "p.db").exists()

    def test_opening_what_is_there_takes_few_milliseconds(self, tmp_path: Path) -> None:
        first = driver(tmp_path, blocking=True)
        called(first.open())
        again = driver(tmp_path, blocking=True)
        again.count_statements()
        called(again.open())
        # counted, not timed: the settings, one look at the schema, and the read that open() ends with
        assert again.counters.statements < 20
        assert again.counters.transactions == 0
        called(again.close())
        called(first.close())


@pytest.fixture
def foreign() -> Iterator[Path]:
    """A directory that another user can enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def as_nobody(program: str, folder: Path) -> str:
    """What a program prints that runs without root's rights."""
    drop = "import os\nif os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
    imports = "import asyncio, sys\nfrom penstock.core.errors import *\nfrom penstock.drivers.sqlite import SQLite\n"
    done = subprocess.run(
        [sys.executable, "-c", imports + drop + program, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestRights:
    OPEN = """
on = SQLite(sys.argv[1] + "/p.db", blocking=True)
on.require("test", ["CREATE TABLE IF NOT EXISTS rows (x)"])
try:
    asyncio.run(on.open())
    print("it was opened")
except StorageError as error:
    print(error)
"""

    def test_a_directory_without_the_right_to_write_is_refused(self, foreign: Path) -> None:
        foreign.chmod(0o555)
        said = as_nobody(self.OPEN, foreign)
        assert said.startswith(str(foreign))
        assert "cannot be written; give this user write access" in said
        assert said.count("\n") == 1

    def test_a_file_without_the_right_to_write_is_refused(self, foreign: Path) -> None:
        on = driver(foreign, blocking=True)
        called(add(on, "mine"))
        called(on.close())
        for path in (foreign, *foreign.rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        (foreign / "p.db").chmod(0o444)
        said = as_nobody(self.OPEN, foreign)
        assert said.startswith(str(foreign))
        assert "cannot be written" in said


class TestWriteAheadLog:
    def test_constant_readers_do_not_let_it_grow_without_bound(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limit = 2 * 1024 * 1024
        monkeypatch.setattr(transactions, "WAL_LIMIT", limit)
        on = driver(tmp_path, blocking=True)
        called(add(on))
        stop = threading.Event()
        reading = [threading.Thread(target=read_on, args=(on.path, stop, turn * 0.005)) for turn in range(2)]
        for thread in reading:
            thread.start()
        largest = 0
        for _ in range(1500):
            called(add(on, b"x" * 20_000))
            largest = max(largest, Path(f"{on.path}-wal").stat().st_size)
        stop.set()
        for thread in reading:
            thread.join()
        called(on.close())
        # 64 commits of 24 kB may pass between two looks at the size
        assert largest < limit + 64 * 40_000 + 9_000_000

    def test_a_reader_that_stays_does_not_stop_the_writers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limit = 8 * 1024 * 1024
        monkeypatch.setattr(transactions, "WAL_LIMIT", limit)
        on = driver(tmp_path, blocking=True)
        called(add(on))
        reader = sqlite3.connect(on.path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM rows").fetchone()
        for _ in range(1500):
            called(add(on, b"x" * 8_000))
        grown = Path(f"{on.path}-wal").stat().st_size
        # each try makes everybody wait, so there is one for each quarter of the limit, not one for every few commits
        assert 1 <= on.counters.cuts <= (grown - limit) // (limit // 4) + 1
        reader.execute("COMMIT")
        reader.close()
        for _ in range(400):
            called(add(on, b"x" * 8_000))
        assert Path(f"{on.path}-wal").stat().st_size < grown + 1_000_000  # begun anew, once the reader had left
        called(on.close())


def read_on(path: str, stop: threading.Event, phase: float) -> None:
    """Read transactions of 10 ms, one after the other: with two such threads there is always one."""
    reader = sqlite3.connect(path, isolation_level=None)
    stop.wait(phase)
    while not stop.is_set():
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM rows").fetchone()
        stop.wait(0.01)
        reader.execute("COMMIT")
    reader.close()


class TestFileThatGoesAway:
    def test_a_deleted_file_is_written_to_no_more_and_works_again_when_it_is_put_back(self, tmp_path: Path) -> None:
        on = driver(tmp_path, blocking=True)
        called(add(on, "first"))
        path = Path(called(on.read(lambda connection: connection.execute("PRAGMA database_list").fetchone()[2])))
        path.rename(path.with_suffix(".away"))
        with pytest.raises(StorageError, match="deleted or replaced while it was in use"):
            called(add(on, "lost"))
        with pytest.raises(StorageError, match="put it back, or restart"):
            called(values(on))
        assert not path.exists()
        path.with_suffix(".away").rename(path)
        called(add(on, "second"))
        assert called(values(on)) == ["first", "second"]
        called(on.close())
