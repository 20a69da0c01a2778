"""`penstock doctor`: looks at settings, servers, workers and queues, and says what is weak or wrong."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version

import click

from penstock.api.keys import KeyRing
from penstock.api.listen import check_exposure
from penstock.cli import session
from penstock.cli.output import Column, as_json, plain, write_json, write_table
from penstock.client.app import Penstock
from penstock.client.backends import Backends, require_shared
from penstock.client.loader import load_app
from penstock.core.checkup import Finding
from penstock.core.errors import ConfigurationError, PenstockError
from penstock.core.record import WorkerInfo
from penstock.core.settings import PREFIX
from penstock.core.step import Step
from penstock.core.url import file

COLUMNS: dict[str, Column] = {
    "CHECK": lambda finding: finding["check"],
    "VERDICT": lambda finding: finding["verdict"],
    "DETAIL": lambda finding: finding["detail"],
}
PATIENCE = 5.0  # seconds for a server to answer
SKEW = 2.0  # seconds by which clocks may differ


@click.command()
@as_json
@session.app_option
def command(as_json: bool, app_path: str | None) -> int:
    """Look at settings, servers, workers and queues; say what is weak or wrong.

    Exit code 1 if something is wrong; what is weak works, but may cost tasks or secrets one day.
    """
    findings = asyncio.run(examined(app_path))
    items = [plain(finding) for finding in findings]
    if as_json:
        write_json({"items": items, "next": None})
    else:
        write_table(items, COLUMNS)
    return int(any(finding.verdict == "wrong" for finding in findings))


async def examined(app_path: str | None) -> list[Finding]:
    """Everything that can be looked at; what depends on something wrong is left out."""
    findings = [Finding("versions", "ok", f"Penstock {version('penstock')}, Python {platform.python_version()}")]
    try:
        app = load_app(app_path) if app_path else Penstock("cli")
        require_shared(app.settings)
        backends = app.backends()
    except ConfigurationError as error:
        return findings + [Finding("configuration", "wrong", fault) for fault in error.faults]
    findings += configured(app)
    path = file(app.settings.broker_url)
    if path is not None and not path.exists():
        return [*findings, Finding("servers", "weak", f"there is no {path} yet; the first submit makes it")]
    try:
        async with asyncio.timeout(PATIENCE), backends:
            findings += [finding async for finding in served(backends)]
    except TimeoutError:
        findings.append(Finding("servers", "wrong", f"{backends.urls}: no answer within {PATIENCE:g} s"))
    except PenstockError as error:
        findings.append(Finding("servers", "wrong", str(error)))
    return findings


def configured(app: Penstock) -> Iterator[Finding]:
    """What the settings say, without their values: some are secrets."""
    given = sorted(name for name in os.environ if name.startswith((PREFIX, "CELERY_")))
    yield Finding("configuration", "ok", f"from the environment: {', '.join(given) or 'nothing'}")
    try:
        keys = KeyRing(app.settings.api_keys).keys
        check_exposure(app.settings.host, app.settings, insecure=False)
    except ConfigurationError as error:
        yield Finding("API", "wrong", str(error))
        return
    if app.settings.insecure and not keys:
        yield Finding("API", "weak", "PENSTOCK_INSECURE lets everybody who reaches the port in")
    else:
        yield Finding("API", "ok", f"{app.settings.host}, {len(keys) or 'no'} keys")


async def served(backends: Backends) -> AsyncIterator[Finding]:
    """What broker and result backend answer."""
    yield await asked("broker", backends.broker.ping)
    yield await asked("results", backends.results.ping)
    drivers = [backends.broker.driver] if backends.shared else [backends.broker.driver, backends.results.driver]
    for driver in drivers:
        for finding in await driver.examine():
            yield finding
    workers = await backends.results.workers.all()
    for finding in staffed(workers):
        yield finding
    taken = {queue for worker in workers for queue in worker.queues}
    for depth in await backends.broker.depth():
        if depth.ready and depth.name not in taken:
            yield Finding(
                "queues", "weak", f"{depth.ready} messages wait in {depth.name!r}, and no worker takes from it"
            )
        if depth.paused:
            yield Finding("queues", "weak", f"{depth.name!r} is paused; go on with: penstock resume {depth.name}")
    letters = await backends.results.dead.count()
    if letters:
        yield Finding("dead letters", "weak", f"there are {letters}; see penstock dead list")


async def asked(name: str, ping: Callable[[], Step[None]]) -> Finding:
    started = time.perf_counter()
    await ping()
    return Finding(name, "ok", f"can be written to; answered in {(time.perf_counter() - started) * 1000:.0f} ms")


def staffed(workers: list[WorkerInfo]) -> Iterator[Finding]:
    """Who is there, of which version, and whether their clocks agree with ours."""
    if not workers:
        yield Finding("workers", "weak", "no worker is alive: nothing runs what is submitted")
        return
    yield Finding("workers", "ok", ", ".join(worker.name for worker in workers))
    others = sorted({worker.version for worker in workers} - {version("penstock")})
    if others:
        yield Finding("versions", "weak", f"workers run {', '.join(others)}; here it is {version('penstock')}")
    for worker in workers:
        ahead = worker.seen_at - time.time()
        if ahead > SKEW:
            yield Finding("clock", "weak", f"the clock of {worker.host} is {ahead:.0f} s ahead of this one")
