"""Which file systems can hold the database. Reads the mount table only.

WAL needs shared memory and working locks, which network file systems lack (https://www.sqlite.org/wal.html: "all
processes using a database must be on the same host computer").
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable

from penstock.core.errors import StorageError

#: also below FUSE, e.g. "fuse.sshfs"
NETWORK = re.compile(
    r"(\w+\.)?(9p|afp|afpfs|afs|ceph|cifs|coda|davfs2?|gcsfuse|glusterfs|juicefs|lustre|ncpfs|nfs[34]?|rclone|s3fs|smb[23]?"
    r"|smbfs|sshfs|webdav)"
)


def mount_table() -> list[tuple[str, str]]:
    """(mount point, type) of every mounted file system, in mount order; empty where the system does not tell."""
    if sys.platform == "darwin":
        return _darwin(subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout)
    try:
        with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
            lines = [line.split(" ") for line in mounts]
    except OSError:
        return []
    return [(_plain(fields[1]), fields[2]) for fields in lines if len(fields) > 2]


def _plain(field: str) -> str:
    """The kernel writes blanks in mount points as octal escapes."""
    return field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")


def _darwin(listing: str) -> list[tuple[str, str]]:
    """Lines such as `//me@nas/share on /Volumes/share (smbfs, nodev)`."""
    found = []
    for line in listing.splitlines():
        head, _, kind = line.rpartition(" (")
        if " on " in head:
            found.append((head.split(" on ", 1)[1], kind.rstrip(")").split(",")[0]))
    return found


def type_of(directory: str, mounts: list[tuple[str, str]]) -> str:
    """The type of the file system that holds `directory`; "" if unknown. Of mounts on one point the last one counts."""
    here = os.path.join(os.path.realpath(directory), "")
    best, kind = "", ""
    for point, this in mounts:
        prefix = os.path.join(point, "")
        if here.startswith(prefix) and len(prefix) >= len(best):
            best, kind = prefix, this
    return kind


def refuse_network(path: str, mounts: Callable[[], list[tuple[str, str]]]) -> None:
    """Raise StorageError if `path` is on a network file system."""
    kind = type_of(os.path.dirname(os.path.abspath(path)), mounts())
    if NETWORK.fullmatch(kind):
        raise StorageError(
            f"{path} is on a network file system ({kind}), where SQLite loses data; "
            "put it on a local disk, or use PostgreSQL or Redis for several machines"
        )
