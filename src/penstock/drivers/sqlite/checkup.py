"""What `penstock doctor` tells of a database file: its version, durability, room and permissions. Reads only."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator

from penstock.core.checkup import Finding, Verdict

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
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if mode & stat.S_IWOTH:
        yield Finding("permissions", "weak", f"everybody on this machine can write it: chmod o-w {path}")
    else:
        readers = "everybody on this machine can read it" if mode & stat.S_IROTH else "others cannot read it"
        yield Finding("permissions", "ok", f"mode {mode:04o}: {readers}")
