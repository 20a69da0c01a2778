"""Single connections: made when they are asked for, prepared, made anew after they broke."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import asyncpg  # type: ignore[import-untyped]

from penstock.core.errors import ConfigurationError, StorageError, Unavailable
from penstock.drivers.postgres.address import Address
from penstock.drivers.postgres.errors import POOLED, translated

#: the first version that is tested and still maintained by its makers
OLDEST = 14
#: seconds that the server grants a transaction of ours that stands still, e.g. because its process was frozen
_STILL = 30
# Statements are planned once, and so that they walk indexes whatever the statistics say: a queue's tables are empty at
# one moment and full at the next, and a plan that reads all of a table is a trap that springs later.
_SESSION = (
    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_bitmapscan = off; "
    "SET enable_sort = off; SET enable_mergejoin = off; SET enable_hashjoin = off; SET jit = off; "
    f"SET idle_in_transaction_session_timeout = '{_STILL}s'"
)
#: statements that a connection keeps prepared
_STATEMENTS = 400


class Session:
    """A connection as the work of steps sees it, within a transaction."""

    __slots__ = ("_connection", "now")

    def __init__(self, connection: Any, now: float | None = None) -> None:
        self._connection = connection
        self.now = now  #: the first argument of statements that need the time: None leaves it to the server's clock

    async def rows(self, statement: str, *given: Any) -> Sequence[Any]:
        """All rows of a statement."""
        found: Sequence[Any] = await self._connection.fetch(statement, *given)
        return found

    async def row(self, statement: str, *given: Any) -> Any:
        """The first row of a statement; None if there is none."""
        return await self._connection.fetchrow(statement, *given)

    async def value(self, statement: str, *given: Any) -> Any:
        """The first column of the first row; None if there is none."""
        return await self._connection.fetchval(statement, *given)

    async def column(self, statement: str, *given: Any) -> list[Any]:
        """The first column of every row."""
        return [row[0] for row in await self._connection.fetch(statement, *given)]

    async def count(self, statement: str, *given: Any) -> int:
        """How many rows a statement without RETURNING changed."""
        status: str = await self._connection.execute(statement, *given)
        return int(status.rpartition(" ")[2])


class Links:
    """Makes the connections of one driver, and knows which there are."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.opened = 0  #: connections made since the driver was made
        self._pids: dict[int, Any] = {}

    async def connect(self, *, watched: Callable[..., None] | None = None) -> Any:
        """A new connection. Raises Unavailable (nothing was sent), ConfigurationError, StorageError."""
        shown = self.address.shown
        try:
            async with asyncio.timeout(self.address.connect_timeout):
                connection = await asyncpg.connect(
                    **self.address.connection(),
                    timeout=self.address.connect_timeout,
                    statement_cache_size=_STATEMENTS,
                    max_cached_statement_lifetime=0,
                )
                try:
                    await self._look(connection)
                except BaseException:  # whatever stopped it, nobody else will hang up
                    connection.terminate()
                    raise
        except ValueError as error:  # asyncpg's own checks, and names that the resolver cannot encode
            raise ConfigurationError(f"{shown}: {error}") from error
        except Exception as error:  # whatever kept us from connecting is told in our words
            raise translated(error, shown, unsent=True) from error
        self.opened += 1
        if watched is not None:
            connection.add_termination_listener(watched)
        return connection

    async def _look(self, connection: Any) -> None:
        """See whether the server will do, and whether it is one server that we talk to."""
        shown, version = self.address.shown, connection.get_server_version()
        if version.major < OLDEST:
            raise StorageError(f"{shown}: PostgreSQL {version.major} is too old; {OLDEST} or later is needed")
        await connection.execute(_SESSION)
        [row] = await connection.fetch(
            "SELECT pg_backend_pid(), current_setting('server_encoding'), pg_is_in_recovery()"
        )
        pid, encoding, standby = row
        if encoding != "UTF8":
            raise StorageError(f"{shown}: the database's encoding is {encoding}; make one with ENCODING 'UTF8'")
        if standby:
            raise StorageError(f"{shown}: it is a standby, which cannot be written; name the primary")
        other = self._pids.get(pid)
        if other is not None and not other.is_closed():  # two of ours on one of the server's
            raise ConfigurationError(f"{shown}: {POOLED}")
        self._pids = {pid: each for pid, each in self._pids.items() if not each.is_closed()} | {pid: connection}


class Link:
    """One connection for one user at a time."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._connection: Any = None

    @property
    def fresh(self) -> bool:
        """Whether the next use makes a new connection."""
        return self._connection is None or self._connection.is_closed()

    async def get(self) -> Any:
        if self.fresh:
            self._connection = await self._links.connect()
        return self._connection

    def drop(self) -> None:
        """Hang up at once: what the server does with the rest is not known."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed():
            return
        with contextlib.suppress(Exception):  # it goes, one way or the other
            await connection.close(timeout=1.0)
        if not connection.is_closed():
            connection.terminate()


def columns(rows: Iterable[Sequence[Any]]) -> list[Sequence[Any] | None]:
    """Rows, at least one, as the columns that `unnest` takes; NULL, which costs nothing, where no row has a value."""
    return [None if column.count(None) == len(column) else column for column in zip(*rows, strict=True)]


def closed(shown: str) -> Unavailable:
    """The error of a driver that was closed."""
    return Unavailable(f"{shown} was closed by this program", unsent=True)
