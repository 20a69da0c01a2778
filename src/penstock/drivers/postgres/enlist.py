"""Statements on connections of others: psycopg, asyncpg, SQLAlchemy, Django and whatever else has cursors.

They are plain SQL without parameters, so that it does not matter how a driver spells those.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from contextlib import closing
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any

from penstock.core.errors import ConfigurationError, TaskIdTaken
from penstock.drivers.postgres.errors import code

#: no such function, no such schema, no right to use it
_ELSEWHERE = frozenset({"42883", "3F000", "42501"})


def enlist(statements: Sequence[str], connection: Any, shown: str) -> Awaitable[None] | None:
    """Execute statements, each of which answers NULL or the task_id that is taken; to be awaited where it is awaitable.

    Raises TaskIdTaken, ConfigurationError where the connection leads to another database.
    """
    family = type(connection).__module__.partition(".")[0]
    if family == "asyncpg" or iscoroutinefunction(getattr(connection, "execute", None)):
        return _later(statements, connection, family, shown)
    for statement in statements:
        try:
            answer = _ask(statement, connection, family)
        except Exception as error:  # of whatever driver it is
            raise _told(error, shown) from error
        _judge(answer)
    return None


async def _later(statements: Sequence[str], connection: Any, family: str, shown: str) -> None:
    for statement in statements:
        try:
            answer = await _aask(statement, connection, family)
        except Exception as error:  # of whatever driver it is
            raise _told(error, shown) from error
        _judge(answer)


def _ask(statement: str, connection: Any, family: str) -> Any:
    if family == "sqlalchemy":
        given = connection if hasattr(connection, "exec_driver_sql") else connection.connection()  # of a session
        return given.exec_driver_sql(statement).scalar()
    with closing(connection.cursor(**_rows(family))) as cursor:
        cursor.execute(statement)
        row = cursor.fetchone()
    return next(iter(row.values())) if isinstance(row, Mapping) else row[0]


async def _aask(statement: str, connection: Any, family: str) -> Any:
    if family == "asyncpg":
        return await connection.fetchval(statement)
    if family == "sqlalchemy":
        return await connection.run_sync(lambda inner: _ask(statement, inner, family))
    async with connection.cursor(**_rows(family)) as cursor:
        await cursor.execute(statement)
        return (await cursor.fetchone())[0]


def _rows(family: str) -> dict[str, Any]:
    """Whatever rows the connection makes by default, ours is a tuple."""
    return {"row_factory": import_module("psycopg.rows").tuple_row} if family == "psycopg" else {}


def _judge(answer: str | None) -> None:
    if answer is not None:
        raise TaskIdTaken(answer)


def _told(error: Exception, shown: str) -> Exception:
    found: BaseException | None = error
    while found is not None:
        if (code(found) or getattr(found, "pgcode", "")) in _ELSEWHERE:
            return ConfigurationError(
                f"the connection cannot submit to {shown}: it leads to another database, or its login lacks "
                f"USAGE on the schema ({found})"
            )
        found = getattr(found, "orig", None) or found.__cause__
    return error
