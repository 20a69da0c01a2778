"""What every ring of the tests shares.

A test may be an `async def`: it runs on an event loop of its own, closed when the test ends. Fixtures stay plain
functions; what must be opened and closed on the loop, a test opens itself with `async with`.
"""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

from tests import servers

# The same code gets the same verdict, on a slow machine too; to search further: --hypothesis-seed=random.
hypothesis.settings.register_profile("penstock", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("penstock")


# Started in the background of a script, Ctrl-C is ignored here, and by every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    parameters = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in parameters}))
    return True


@pytest.fixture(scope="session")
def redis_server() -> servers.Redis:
    """One for the whole run: take a place of it with `fresh()`, and never stop it."""
    return servers.redis()


@pytest.fixture(scope="session")
def rabbitmq_server() -> servers.RabbitMQ:
    """One for the whole run: take a place of it with `fresh()`, and never stop it."""
    return servers.rabbitmq()


@pytest.fixture(scope="session")
def postgres_server() -> servers.Postgres:
    """One for the whole run: take a place of it with `fresh()`, and never stop it."""
    return servers.postgres()


@pytest.fixture(scope="session", autouse=True)
def _no_server_stays() -> Iterator[None]:
    yield
    servers.end()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several processes tells the one that writes the summary which servers it has used."""
    if (told := getattr(session.config, "workeroutput", None)) is not None:
        told["servers"] = servers.used


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    servers.used.update(getattr(node, "workeroutput", {}).get("servers", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(servers.summary())
    for report in terminalreporter.getreports("skipped"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        terminalreporter.write_line(f"NOT RUN: {report.nodeid}: {reason}", yellow=True, bold=True)
