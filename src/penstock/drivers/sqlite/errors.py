"""SQLite's errors as ours, by one table. Values only."""

from __future__ import annotations

import errno
import sqlite3

from penstock.core.errors import PenstockError, StorageError, Unavailable

#: primary result code (https://www.sqlite.org/rescode.html) → our class, and what happened and what to do
_TABLE: dict[int, tuple[type[PenstockError], str]] = {
    sqlite3.SQLITE_BUSY: (Unavailable, "is locked by another program; end its transaction"),
    sqlite3.SQLITE_LOCKED: (Unavailable, "is locked by another program; end its transaction"),
    sqlite3.SQLITE_PROTOCOL: (Unavailable, "is locked by another program; end its transaction"),
    sqlite3.SQLITE_FULL: (Unavailable, "cannot grow: the disk or quota is full; free some space"),
    sqlite3.SQLITE_IOERR: (Unavailable, "cannot be read or written: the disk reports an error"),
    sqlite3.SQLITE_NOMEM: (Unavailable, "cannot be used: out of memory or of open files"),
    sqlite3.SQLITE_CORRUPT: (StorageError, "is damaged; restore it from a backup, or move it away to start anew"),
    sqlite3.SQLITE_NOTADB: (StorageError, "is not an SQLite database; name another file, or move it away"),
    sqlite3.SQLITE_READONLY: (StorageError, "cannot be written; give this user write access to it and its directory"),
    sqlite3.SQLITE_PERM: (StorageError, "cannot be written; give this user write access to it and its directory"),
    sqlite3.SQLITE_CANTOPEN: (StorageError, "cannot be opened; its directory must exist and be writable"),
    sqlite3.SQLITE_AUTH: (StorageError, "cannot be opened; access is denied"),
}

#: errors of the system around the file (lock, listeners) as the results that SQLite would have
_SYSTEM = {
    errno.EACCES: sqlite3.SQLITE_READONLY,
    errno.EPERM: sqlite3.SQLITE_READONLY,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.ENOENT: sqlite3.SQLITE_CANTOPEN,
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
    errno.EIO: sqlite3.SQLITE_IOERR,
    errno.EMFILE: sqlite3.SQLITE_NOMEM,
    errno.ENFILE: sqlite3.SQLITE_NOMEM,
}

#: after an I/O error in a commit, what was written may turn out to be there
_UNCERTAIN = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM)


def primary(error: sqlite3.Error) -> int:
    """The primary result code of an error; 0 if it has none (errors of the Python module itself)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def translated(error: Exception, path: str) -> Exception:
    """Ours for an error of SQLite or of the system that is about the file; every other error as it is."""
    if isinstance(error, sqlite3.Error):
        code = primary(error)
    elif isinstance(error, OSError) and error.errno is not None:
        code = _SYSTEM.get(error.errno, 0)
        path = error.filename if isinstance(error.filename, str) else path
    else:
        return error
    if code not in _TABLE:
        return error
    kind, what = _TABLE[code]
    ours = kind(f"{path} {what} ({error})")
    if isinstance(ours, Unavailable):
        ours.unsent = code not in _UNCERTAIN
    ours.__cause__ = error
    return ours
