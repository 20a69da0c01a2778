"""Unit tests are exact and fast: time is injected and nothing leaves the process."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import NoReturn

import pytest


def _refuse(*_: object) -> NoReturn:
    pytest.fail("a unit test neither sleeps nor uses the network: inject the clock, or move it to another ring")


@pytest.fixture(autouse=True, scope="module")
def neither_sleep_nor_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", _refuse)
        for way_out in ("bind", "connect", "connect_ex"):
            patch.setattr(socket.socket, way_out, _refuse)
        yield
