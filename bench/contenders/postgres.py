"""On PostgreSQL, every commit on disk for everyone."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import psycopg

from bench import peers
from bench.contender import Contender, Load
from bench.contenders.penstock_sqlite import PenstockSQLite
from bench.places import place


@cache
def _connection(url: str) -> Any:
    return psycopg.connect(url, autocommit=True)


class OnPostgres(Contender):
    """A schema for each measurement, dropped after it."""

    broker = "PostgreSQL"
    counts: ClassVar[str]  #: the statement that counts what has ended well, in {schema}

    def environment(self, folder: Path) -> dict[str, str]:
        url, _, schema = place("postgres", folder).partition("?schema=")
        own = {"BENCH_URL": url, "BENCH_SCHEMA": schema, "PENSTOCK_BROKER_URL": place("postgres", folder)}
        own |= {"PGQUEUER_SCHEMA": schema}
        return {**super().environment(folder), **own}

    def ended(self, folder: Path) -> int:
        return int(self._run(folder, self.counts).fetchone()[0])

    def forget(self, folder: Path) -> None:
        self._run(folder, "DROP SCHEMA IF EXISTS {schema} CASCADE")

    @staticmethod
    def _run(folder: Path, statement: str) -> Any:
        url, _, schema = place("postgres", folder).partition("?schema=")
        return _connection(url).execute(statement.format(schema=schema))


class PenstockPostgres(OnPostgres, PenstockSQLite):
    name = "penstock-postgres"
    options = "defaults: records, results and history kept; 8 threads, 100 coroutines a process"
    packages: ClassVar[tuple[str, ...]] = ("penstock", "asyncpg", "msgspec", "uvloop")
    offers = frozenset((
        "send", "asend", "send_many", "worker", "workers", "get", "aget", "senders", "ready",
        "idle", "mark", "backlog", "load",
    ))  # fmt: skip
    app = "bench.apps.penstock_sqlite"  # its broker stands in the environment
    counts = "SELECT count(*) FROM {schema}.records WHERE state = 'SUCCESS'"


class BarePostgres(PenstockPostgres):
    name = "bare-postgres"
    title = "bare asyncpg"
    options = (
        "the rows that Penstock writes, checking nothing; batches of 100, one settled and the next one claimed in one "
        "statement"
    )
    packages: ClassVar[tuple[str, ...]] = ("asyncpg", "uvloop")
    offers = frozenset({"asend", "send_many", "worker"})
    app = "bench.apps.bare_postgres"

    def worker(self, load: Load) -> list[str]:
        return [sys.executable, "-m", self.app, load.task]


class ProcrastinatePostgres(OnPostgres):
    name = "procrastinate-postgres"
    title = "Procrastinate"
    options = "PsycopgConnector, no result values (it keeps none); worker --concurrency 100 --delete-jobs never"
    packages: ClassVar[tuple[str, ...]] = ("procrastinate", "psycopg")
    offers = frozenset({"send", "worker", "import", "idle", "mark"})
    statement = "import procrastinate"
    app = "bench.apps.procrastinate_postgres"
    backlog = 1_000
    counts = "SELECT count(*) FROM {schema}.procrastinate_jobs WHERE status = 'succeeded'"

    def python(self) -> Path:
        return peers.program("python")

    def worker(self, load: Load) -> list[str]:
        slots = str(load.slots or 100)
        command = [str(peers.program("procrastinate")), f"--app={self.app}.app", "worker", "--delete-jobs", "never"]
        return [*command, "--concurrency", slots]


class PgqueuerPostgres(OnPostgres):
    name = "pgqueuer-postgres"
    title = "PgQueuer"
    options = (
        "asyncpg, no result values (it keeps none), durability as its default; PgQueuer.run(batch_size=100) on uvloop, "
        "for two processes twice; results are waited for with CompletionWatcher(debounce=1 ms)"
    )
    packages: ClassVar[tuple[str, ...]] = ("pgqueuer", "asyncpg", "uvloop")
    offers = frozenset(("asend", "send_many", "worker", "workers", "aget", "senders", "import", "idle", "mark", "load"))
    statement = "import pgqueuer"
    app = "bench.apps.pgqueuer_postgres"
    counts = "SELECT count(*) FROM {schema}.pgqueuer_log WHERE status = 'successful'"

    def python(self) -> Path:
        return peers.program("python")

    def worker(self, load: Load) -> list[str]:
        run = f"{self.python()} -m {self.app} {load.slots or 100}"
        return ["sh", "-c", " & ".join([run] * load.processes) + "; wait"]
