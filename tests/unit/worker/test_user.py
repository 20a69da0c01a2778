"""Giving up root's rights."""

from __future__ import annotations

import logging
import os
import pwd

import pytest

from penstock.core.errors import ConfigurationError
from penstock.worker import user

NOBODY = pwd.getpwnam("nobody")


@pytest.mark.parametrize("uid", ["nobody", str(NOBODY.pw_uid)])
def test_root_becomes_another_user_and_its_group_and_nobody_else_does(uid: str) -> None:
    if os.geteuid() != 0:
        with pytest.raises(ConfigurationError, match="only root"):
            user.become(uid)
        return
    pid = os.fork()
    if pid == 0:
        user.become(uid)
        os._exit((os.getuid(), os.geteuid(), os.getgid()) != (NOBODY.pw_uid, NOBODY.pw_uid, NOBODY.pw_gid))
    assert os.waitpid(pid, 0)[1] == 0


def test_an_unknown_user_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError, match="no such user"):
        user.become("nobody-at-all")


def test_who_stays_root_is_warned(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with caplog.at_level(logging.WARNING):
        user.warn()
    assert "--uid" in caplog.text
