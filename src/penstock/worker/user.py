"""Giving up root's rights: a worker runs other people's code, and needs none of them."""

from __future__ import annotations

import logging
import os
import pwd

from penstock.core.errors import ConfigurationError

log = logging.getLogger("penstock.worker")


def become(uid: str | None) -> None:
    """Become the user of that name or number, with its groups. None: stay who one is."""
    if uid is None:
        return
    entry = _entry(uid)
    try:
        if os.geteuid() == 0:
            os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except PermissionError:
        raise ConfigurationError(f"--uid {uid}: only root can become another user") from None


def warn() -> None:
    """Say so if this is root."""
    if os.geteuid() == 0:
        log.warning("running as root: every task has root's rights; --uid USER makes the worker give them up")


def _entry(uid: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(uid)) if uid.isdecimal() else pwd.getpwnam(uid)
    except KeyError:
        raise ConfigurationError(f"--uid {uid}: there is no such user") from None
