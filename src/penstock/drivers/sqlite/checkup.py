"""What `penstock doctor` tells of a database file: its version, durability, room and permissions. Reads only."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator

from penstock.core.checkup import SKEW, Finding, Verdict

#: PRAGMA synchronous answers with a number: https://www.sqlite.org/pragma.html#pragma_synchronous
_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
_SCARCE, _TOO_LITTLE = 1 << 30, 64 << 20  # bytes of free disk
_MIB = 1 << 20


def durability(connection: sqlite3.Connection) -> Finding:
    """What a commit on this connection means."""
    (journal,) = connection.execute("PRAGMA journal_mode").fetchone()
    (level,) = connection.execute("PRAGMA synchronous").fetchone()
    told = f"journal {journal}, synchronous {_SYNCHRONOUS.get(level, level)}"
    if journal == "wal" and level >= 2:
        return Finding("durability", "ok", f"{told}: what was answered is on disk")
    return Finding("durability", "weak", f"{told}: the last commits may be lost at a power cut")


def surroundings(path: str) -> Iterator[Finding]:
    """The file and its disk."""
    yield Finding("versions", "ok", f"SQLite {sqlite3.sqlite_version}")
    size, free = os.path.getsize(path), shutil.disk_usage(path).free
    verdict: Verdict = "wrong" if free < _TOO_LITTLE else "weak" if free < _SCARCE else "ok"
    yield Finding("disk", verdict, f"{path} has {size // _MIB} MiB, {free // _MIB} MiB are free")
    found = os.stat(path)
    yield _clock(found.st_mtime - time.time())
    mode = stat.S_IMODE(found.st_mode)
    if mode & stat.S_IWOTH:
        yield Finding("permissions", "weak", f"everybody on this machine can write it: chmod o-w {path}")
    else:
        readers = "everybody on this machine can read it" if mode & stat.S_IROTH else "others cannot read it"
        yield Finding("permissions", "ok", f"mode {mode:04o}: {readers}")


def _clock(ahead: float) -> Finding:
    """Everybody who opens the file has this machine's clock. That it was set back shows in the last write."""
    if ahead <= SKEW:
        return Finding("clock", "ok", "this machine's, for all who open the file; it is not behind the last write")
    detail = f"the file was written {ahead:.0f} s from now: the clock was set back, so delays and schedules wait longer"
    return Finding("clock", "weak", detail)
