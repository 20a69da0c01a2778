"""What the doctor says of a broker, for the tests of each kind of server."""

from __future__ import annotations

import asyncio

import pytest

from penstock.cli.doctor import examined
from penstock.client.app import Penstock
from penstock.core.checkup import Finding


def diagnosis(monkeypatch: pytest.MonkeyPatch, url: str) -> list[Finding]:
    """Everything that it finds of the broker at `url`."""
    monkeypatch.setenv("PENSTOCK_BROKER_URL", url)
    return asyncio.run(examined(None))


def found(findings: list[Finding], check: str) -> list[tuple[str, str]]:
    """Verdicts and details of one check."""
    return [(each.verdict, each.detail) for each in findings if each.check == check]


def forsaken(monkeypatch: pytest.MonkeyPatch, app: Penstock, lane: str) -> None:
    """Of a queue that nobody reads, `orders`, and its highest lane, it names both."""
    for priority in (0, 0, 9):
        app.send_task("add", (1,), queue="orders", priority=priority)
    findings = diagnosis(monkeypatch, app.settings.broker_url)
    ((_, text),) = found(findings, "lanes")
    assert f"1 messages of raised priority wait in {lane!r}" in text
    assert "priority_scheme=celery" in text
    ((_, text),) = found(findings, "queues")
    assert "2 messages wait in 'orders', and no Penstock worker takes from it" in text
