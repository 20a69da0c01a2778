"""`penstock doctor`: looks at settings, servers, workers and queues, and says what is weak or wrong."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections.abc import AsyncIterator, Callable, Iterator

import click

from penstock.api.keys import KeyRing
from penstock.api.listen import check_exposure
from penstock.cli import session
from penstock.cli.output import Column, as_json, plain, write_json, write_table
from penstock.client.app import Penstock
from penstock.client.backends import Backends, require_shared
from penstock.client.loader import load_app
from penstock.core.broker import QueueDepth
from penstock.core.checkup import SKEW, Finding, clock
from penstock.core.errors import ConfigurationError, PenstockError
from penstock.core.record import WorkerInfo
from penstock.core.settings import PREFIX
from penstock.core.step import Step
from penstock.core.url import file
from penstock.core.version import version

COLUMNS: dict[str, Column] = {
    "CHECK": lambda finding: finding["check"],
    "VERDICT": lambda finding: finding["verdict"],
    "DETAIL": lambda finding: finding["detail"],
}
PATIENCE = 5.0  # seconds for a server to answer


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
    findings = [Finding("versions", "ok", f"Penstock {version()}, Python {platform.python_version()}")]
    try:
        app = load_app(app_path) if app_path else Penstock("cli")
        require_shared(app.settings)
        backends = app.backends()
    except ConfigurationError as error:
        return findings + [Finding("configuration", "wrong", fault) for fault in error.faults]
    findings += configured(app)
    path = file(app.settings.broker_url)
    if path is not None and not path.parent.is_dir():
        return [*findings, Finding("servers", "wrong", f"there is no folder {path.parent}; make it first")]
    if path is not None and not os.access(path.parent, os.W_OK | os.X_OK):
        return [*findings, Finding("servers", "wrong", f"this user has no right to write in {path.parent}")]
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
        if depth.name not in taken:
            for finding in forsaken(depth):
                yield finding
        if depth.paused:
            yield Finding("queues", "weak", f"{depth.name!r} is paused; go on with: penstock resume {depth.name}")
    letters = await backends.results.dead.count()
    if letters:
        yield Finding("dead letters", "weak", f"there are {letters}; see penstock dead list")


def forsaken(depth: QueueDepth) -> Iterator[Finding]:
    """What waits in a queue that no Penstock worker takes from. Celery's may read the queue itself, never our lanes."""
    for lane, count in depth.lanes.items():
        yield Finding(
            "lanes",
            "weak",
            f"{count} messages of raised priority wait in {lane!r}, and no Penstock worker reads it; start one for "
            f"{depth.name!r}, or where Celery workers take from it use priority_scheme=celery",
        )
    if plainly := depth.ready - sum(depth.lanes.values()):
        yield Finding(
            "queues", "weak", f"{plainly} messages wait in {depth.name!r}, and no Penstock worker takes from it"
        )


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
    others = sorted({worker.version for worker in workers} - {version()})
    if others:
        yield Finding("versions", "weak", f"workers run {', '.join(others)}; here it is {version()}")
    for worker in workers:
        ahead = worker.seen_at - time.time()
        if ahead > SKEW:
            yield clock(f"the clock of {worker.host}", ahead)
