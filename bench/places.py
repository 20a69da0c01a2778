"""Where contenders keep their messages and results: the folder of a measurement, or an empty place on a private server.

The servers are as durable as their users run them: Redis with an append-only file synced every second, PostgreSQL and
RabbitMQ with every commit and confirmation on disk.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tests import servers


@cache
def server(kind: str) -> servers.Server:
    """The one server of a kind, started when it is first asked for, ended with this program."""
    made: servers.Server = _KINDS[kind]()
    made.start()
    atexit.register(made.close)
    return made


@cache
def place(kind: str, folder: Path) -> str:
    """The URL of a place that belongs to one measurement."""
    del folder  # it is what the answer is remembered by
    return server(kind).fresh()


_KINDS: dict[str, Callable[[], servers.Server]] = {
    "redis": servers.Redis,
    "rabbitmq": servers.RabbitMQ,
    "postgres": lambda: servers.Postgres(fsync="on", shared_buffers="256MB"),
}
