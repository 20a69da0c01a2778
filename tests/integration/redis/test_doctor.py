"""What the doctor finds wrong with a Redis server, its URL or the installation."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from penstock.cli.doctor import examined
from penstock.client.app import Penstock
from penstock.core.checkup import Finding
from tests import servers
from tests.integration.diagnosis import diagnosis, forsaken, found
from tests.processes import clean_environment


def test_of_a_good_server_it_has_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.Redis(appendfsync="always", requirepass=servers.PASSWORD) as server:
        findings = diagnosis(monkeypatch, server.url)
    assert {each.verdict for each in findings if each.check in {"durability", "memory", "login", "clock"}} == {"ok"}
    assert not [each for each in findings if each.verdict == "wrong"]
    assert servers.PASSWORD not in str(findings)


@pytest.mark.parametrize(
    ("settings", "check", "verdict", "detail"),
    [
        ({"appendonly": "no"}, "durability", "weak", "no persistence at all"),
        ({"appendonly": "no", "save": "60 1"}, "durability", "weak", "snapshots only"),
        ({"appendfsync": "everysec"}, "durability", "weak", "the last second"),
        ({"appendfsync": "no"}, "durability", "weak", "half minute"),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": "100mb"}, "memory", "wrong", "set noeviction"),
        ({"maxmemory_policy": "volatile-lru"}, "memory", "weak", "set noeviction"),
        ({}, "login", "weak", "no password"),
    ],
)
def test_it_names_what_is_weak(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], check: str, verdict: str, detail: str
) -> None:
    with servers.Redis(**settings) as server:
        ((told, text),) = found(diagnosis(monkeypatch, server.url), check)
    assert told == verdict
    assert detail in text


def test_it_names_a_refused_login(monkeypatch: pytest.MonkeyPatch) -> None:
    with servers.Redis(requirepass=servers.PASSWORD) as server:
        for url in (server.url.replace(f":{servers.PASSWORD}@", ""), server.url.replace(servers.PASSWORD, "wrong")):
            ((verdict, text),) = found(diagnosis(monkeypatch, url), "servers")
            assert verdict == "wrong"
            assert "the login is refused" in text


def test_it_names_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ((verdict, text),) = found(diagnosis(monkeypatch, "redis://127.0.0.1:1/0"), "servers")
    assert verdict == "wrong"
    assert "cannot be reached" in text


def test_it_names_queues_and_lanes_that_nobody_reads(
    monkeypatch: pytest.MonkeyPatch, redis_server: servers.Redis
) -> None:
    forsaken(monkeypatch, Penstock("doctor", broker=redis_server.fresh()), "penstock:lane:9:orders")


@pytest.mark.parametrize("url", ["redis://localhost/x", "redis://localhost/0?socket_timout=3", "redis+socket://"])
def test_it_names_what_is_wrong_with_a_url(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    findings = diagnosis(monkeypatch, url)
    assert [each.verdict for each in findings if each.check == "configuration"] == ["wrong"]


def test_it_names_a_server_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    hung_up: list[asyncio.Event] = []

    async def old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers = {b"PING": b"+PONG\r\n", b"INFO": b"$21\r\nredis_version:5.0.14\n\r\n"}
        while word := await reader.readline():
            writer.write(next((answer for name, answer in answers.items() if word.strip() == name), b""))
            if word.strip() == b"SETNAME":
                writer.write(b"+OK\r\n")
            await writer.drain()
        writer.close()
        await writer.wait_closed()
        hung_up[0].set()

    async def ask() -> list[Finding]:
        hung_up.append(asyncio.Event())
        server = await asyncio.start_server(old, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            monkeypatch.setenv("PENSTOCK_BROKER_URL", f"redis://127.0.0.1:{port}/0")
            findings = await examined(None)
            await asyncio.wait_for(hung_up[0].wait(), 30)
        return findings

    ((verdict, text),) = found(asyncio.run(ask()), "servers")
    assert verdict == "wrong"
    assert "Redis 5.0.14 is too old; 6.2 or later is needed" in text


def test_a_missing_extra_is_one_clear_line(tmp_path: Path) -> None:
    program = tmp_path / "without.py"
    program.write_text(
        textwrap.dedent("""
            import importlib.util, sys
            find = importlib.util.find_spec
            importlib.util.find_spec = lambda name, package=None: None if name == "hiredis" else find(name, package)
            from penstock.cli import main
            sys.argv = ["penstock", "doctor"]
            sys.exit(main())
        """)
    )
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False,
        env={**clean_environment(), "PENSTOCK_BROKER_URL": "redis://localhost/0"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip install 'penstock[redis]'" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
