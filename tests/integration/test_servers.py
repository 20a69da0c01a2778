"""What the tests of outages stand on: private servers that can be killed, and the proxy before them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import alive, eventually
from tests.proxy import Proxy
from tests.servers import PASSWORD, Postgres, RabbitMQ, Redis, Server


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 30) as client:
        yield client


def asked(client: socket.socket, *words: str) -> bytes:
    """A Redis command over a bare socket."""
    client.sendall(b"%b\r\n" % " ".join(words).encode())
    return client.recv(1000)


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis(appendfsync="always", requirepass=PASSWORD) as server:
        yield server


class TestServers:
    def test_what_redis_was_told_survives_its_death(self, redis: Redis) -> None:
        with connected(redis.port) as client:
            assert asked(client, "SET", "a", "1").startswith(b"-NOAUTH")
            assert asked(client, "AUTH", PASSWORD) == b"+OK\r\n"
            assert asked(client, "SET", "a", "1") == b"+OK\r\n"
        redis.kill()
        redis.start()
        with connected(redis.port) as client:
            asked(client, "AUTH", PASSWORD)
            assert asked(client, "GET", "a") == b"$1\r\n1\r\n"

    def test_a_frozen_server_answers_when_thawed(self, redis: Redis) -> None:
        redis.freeze()
        with connected(redis.port) as client:
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                asked(client, "PING")
            redis.thaw()
            client.settimeout(30)
            assert client.recv(100).startswith(b"-NOAUTH")

    def test_places_are_distinct(
        self, redis_server: Redis, rabbitmq_server: RabbitMQ, postgres_server: Postgres
    ) -> None:
        servers: list[Server] = [redis_server, rabbitmq_server, postgres_server]
        for server in servers:
            assert len({server.url, server.fresh(), server.fresh()}) == 3

    def test_nothing_outlives_a_run_that_was_killed(self, tmp_path: Path) -> None:
        script = "from tests.servers import Redis; s = Redis().start(); print(s.pid, s.folder, flush=True); input()"
        run = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2], env={**os.environ, "TMPDIR": str(tmp_path)},
        )  # fmt: skip
        assert run.stdout is not None
        pid, folder = run.stdout.readline().split()
        os.kill(run.pid, signal.SIGKILL)
        run.communicate()
        eventually(lambda: not alive(int(pid)) and not Path(folder).exists())


class TestProxy:
    def test_a_cut_connection_is_reset_and_the_next_one_works(self, redis_server: Redis) -> None:
        with Proxy(redis_server.fresh()) as proxy:
            with connected(proxy.port) as client:
                assert asked(client, "PING") == b"+PONG\r\n"
                proxy.cut()
                with pytest.raises(ConnectionResetError):
                    asked(client, "PING")
            with connected(proxy.port) as client:
                assert asked(client, "PING") == b"+PONG\r\n"

    def test_refused_until_healed(self, redis_server: Redis) -> None:
        with Proxy(redis_server.fresh()) as proxy:
            proxy.refuse()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", proxy.port), 30)
            proxy.heal()
            with connected(proxy.port) as client:
                assert asked(client, "PING") == b"+PONG\r\n"

    def test_half_open_swallows_nothing(self, redis_server: Redis) -> None:
        with Proxy(redis_server.fresh()) as proxy, connected(proxy.port) as client:
            assert asked(client, "PING") == b"+PONG\r\n"
            proxy.half_open()
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                asked(client, "PING")
            proxy.heal()
            client.settimeout(30)
            assert client.recv(100) == b"+PONG\r\n"

    def test_a_delay_goes_both_ways(self, redis_server: Redis) -> None:
        with Proxy(redis_server.fresh()) as proxy, connected(proxy.port) as client:
            proxy.delay(0.1)
            began = time.monotonic()
            asked(client, "PING")
            assert time.monotonic() - began >= 0.2
