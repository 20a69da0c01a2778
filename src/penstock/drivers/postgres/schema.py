"""Migrations: numbered files of SQL, each applied once, by whoever comes first, under a lock.

They only ever add, so that an older version goes on working while a newer one is being rolled out. The first line of
each says which migration a program must know at least to work with the tables as they are from then on.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from penstock.core.errors import StorageError
from penstock.drivers.postgres.errors import AGAIN, BUSY, code

_FILE: Final = re.compile(r"(\d{4})_\w+\.sql")
_NEEDS: Final = re.compile(r"-- needs: (\d+)")
_QUALIFIED: Final = re.compile(r"\bpenstock\.")
#: for advisory locks: who migrates; any number will do, so long as every version has the same
_LOCK: Final = 7_034_621_890_133_472_001
# Who waits for a table holds up everybody behind him, and may wait in a circle with them: with a statement that has one
# table already and comes to the next. So he gives up before the server looks for circles (deadlock_timeout, 1 s unless
# set), which might end the others' statement instead, lets go of all, and tries again.
_LOCK_TIMEOUT: Final = "500ms"
_TRIES: Final = 20
_PAUSE: Final = 1.0  #: seconds between two tries; about, so that two rhythms do not meet again and again

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS penstock.migrations (
    number integer PRIMARY KEY,
    needs integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    needs: int  #: what a program must know at least, once this one is applied
    text: str


def load() -> tuple[Migration, ...]:
    """The migrations that this version knows, in order."""
    found = []
    for file in files("penstock.drivers.postgres.migrations").iterdir():
        if name := _FILE.fullmatch(file.name):
            text = file.read_text(encoding="utf-8")
            needs = _NEEDS.match(text)
            assert needs, f"{file.name} does not begin with -- needs:"
            found.append(Migration(int(name[1]), int(needs[1]), text))
    found.sort(key=lambda each: each.number)
    assert [each.number for each in found] == list(range(1, len(found) + 1)), "migrations are numbered one by one"
    return tuple(found)


def named(text: str, schema: str) -> str:
    """SQL that is written for the schema `penstock`, for another one."""
    return text if schema == "penstock" else _QUALIFIED.sub(f"{schema}.", text)


async def migrate(connection: Any, schema: str, shown: str, known: Sequence[Migration]) -> None:
    """Bring the tables up to date.

    Raises StorageError where they are of a version that this one cannot work with, and asyncpg's LockNotAvailableError
    where others hold a table for half a minute.
    """
    newest = known[-1].number
    if await _applied(connection, schema, shown, newest) >= newest:
        return
    await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    try:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        await connection.execute(named(_TABLE, schema))
        there = await _applied(connection, schema, shown, newest)
        for migration in known:
            if migration.number > there:
                await _apply_in_time(connection, schema, migration)
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _apply_in_time(connection: Any, schema: str, migration: Migration) -> None:
    for left in reversed(range(_TRIES)):
        try:
            await _apply(connection, schema, migration)
            return
        except Exception as error:  # whatever it is, others' locks or ours to report
            if not left or code(error) not in AGAIN | BUSY:
                raise
        await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - no secret


async def _apply(connection: Any, schema: str, migration: Migration) -> None:
    async with connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")
        await connection.execute(named(migration.text, schema))
        await connection.execute(
            named("INSERT INTO penstock.migrations (number, needs) VALUES ($1, $2)", schema),
            migration.number,
            migration.needs,
        )


async def _applied(connection: Any, schema: str, shown: str, newest: int) -> int:
    """The newest migration that is applied; 0 for none."""
    if await connection.fetchval("SELECT to_regclass($1)", f"{schema}.migrations") is None:
        return 0
    row = await connection.fetchrow(
        named("SELECT number, needs FROM penstock.migrations ORDER BY number DESC LIMIT 1", schema)
    )
    if row is None:
        return 0
    number, needs = row
    if needs > newest:
        raise StorageError(
            f"{shown}: the schema {schema} is at version {number}, made by a newer Penstock; this one knows {newest} "
            f"and would need to know {needs}: upgrade it"
        )
    return int(number)
