"""PgQueuer in the schema that the environment names.

As a program (`python -m bench.apps.pgqueuer_postgres 100`) it is a worker for so many tasks at once: what its command
`pgq run` does, which does not start with the newest typer.
"""
# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator"

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.core.completion import CompletionWatcher
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from bench.apps import work

_opened: Queries | None = None
_watcher: CompletionWatcher | None = None


async def main(batch: int) -> None:
    """https://pgqueuer.readthedocs.io: the batch size is its setting for throughput."""
    queuer = PgQueuer.from_asyncpg_connection(await _connected())

    @queuer.entrypoint("add")
    async def add(job: Job) -> None:
        work.add(*json.loads(job.payload))

    @queuer.entrypoint("spin")
    async def spin(job: Job) -> None:
        work.spin(*json.loads(job.payload))

    @queuer.entrypoint("nap")
    async def nap(job: Job) -> None:
        await asyncio.sleep(*json.loads(job.payload))

    @queuer.entrypoint("mark")
    async def mark(job: Job) -> None:
        work.mark(*json.loads(job.payload))

    await queuer.run(batch_size=batch)


async def asend(task: str, *args: Any) -> Any:
    (number,) = await (await _queries()).enqueue(task, json.dumps(args).encode())
    return number


async def asend_many(task: str, many: Sequence[Sequence[Any]]) -> None:
    payloads = [json.dumps(args).encode() for args in many]
    await (await _queries()).enqueue([task] * len(many), payloads, [0] * len(many))


async def aget(handle: Any) -> Any:
    """Its own way to wait, with as little patience between two looks as makes sense (the default is 50 ms)."""
    global _watcher  # noqa: PLW0603 - one program, one connection
    if _watcher is None:
        queries = await _queries()
        _watcher = CompletionWatcher(queries.driver, queries=queries, debounce=timedelta(milliseconds=1))
        await _watcher.__aenter__()
    return await asyncio.wait_for(_watcher.wait_for(handle), 10)


async def _queries() -> Queries:
    """With its tables, made where they are missing."""
    global _opened  # noqa: PLW0603 - one program, one connection
    if _opened is None:
        connection = await _connected()
        _opened = Queries(AsyncpgDriver(connection))
        schema = os.environ["PGQUEUER_SCHEMA"]
        if not await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", schema):
            await connection.execute(f"CREATE SCHEMA {schema}")
            await _opened.install()
    return _opened


async def _connected() -> asyncpg.Connection:
    return await asyncpg.connect(os.environ["BENCH_URL"])


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
