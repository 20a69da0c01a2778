"""Tasks that are queued if and only if a transaction of the user's is committed."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from functools import partial
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import django
import psycopg
import pytest
import sqlalchemy
from django.apps import apps
from django.conf import settings as django_settings
from django.db.utils import ConnectionHandler
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from penstock import Penstock
from penstock.client import enlist
from penstock.client.backends import Backends
from penstock.core.errors import ConfigurationError, InvalidOptions, TaskIdTaken
from penstock.core.record import Filter
from penstock.testing.conformance.broker.samples import PATIENCE, consumer
from tests.places import Place, place


class Undone(Exception):
    """Raised to roll a transaction back."""


def an_app(where: Place) -> Penstock:
    app = Penstock("shop", broker=where.url)

    @app.task
    def add(x: int, y: int) -> int:
        return x + y

    app.portal.call(_nothing)
    return app


async def _nothing(_submitter: object) -> None:
    """The schema is there after this."""


def database(where: Place) -> str:
    """The URL without our options, as other drivers take it."""
    return where.url.partition("?")[0]


def file(where: Place) -> str:
    return where.url.removeprefix("sqlite:///")


# -------------------------------------------------------------------------------------------- ways to have a connection


@contextmanager
def by_psycopg(where: Place) -> Iterator[Any]:
    with psycopg.connect(database(where), row_factory=dict_row) as connection:
        yield connection


@contextmanager
def by_session(where: Place) -> Iterator[Any]:
    url = where.url if where.name == "sqlite" else database(where).replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    try:
        with Session(engine) as session, session.begin():
            yield session
    finally:
        engine.dispose()


@contextmanager
def by_engine(where: Place) -> Iterator[Any]:
    url = where.url if where.name == "sqlite" else database(where).replace("postgresql://", "postgresql+psycopg://")
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def by_sqlite3(where: Place) -> Iterator[Any]:
    with closing(sqlite3.connect(file(where))) as connection:
        connection.row_factory = sqlite3.Row
        with connection:
            yield connection


@contextmanager
def by_django(where: Place) -> Iterator[Any]:
    if not django_settings.configured:
        django_settings.configure()
    if not apps.ready:
        django.setup()
    if where.name == "sqlite":
        given: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": file(where)}
    else:
        parts = sqlalchemy.make_url(where.url)
        given = {
            "ENGINE": "django.db.backends.postgresql", "NAME": parts.database, "USER": parts.username,
            "PASSWORD": parts.password, "HOST": parts.host, "PORT": parts.port,
        }  # fmt: skip
    handler = ConnectionHandler({"default": given})
    connection = handler["default"]
    connection.set_autocommit(False)
    try:
        yield connection
        connection.commit()
    except Undone:
        connection.rollback()
        raise
    finally:
        connection.close()


SYNC = [
    ("postgres", by_psycopg), ("postgres", by_session), ("postgres", by_engine), ("postgres", by_django),
    ("sqlite", by_sqlite3), ("sqlite", by_session), ("sqlite", by_engine), ("sqlite", by_django),
]  # fmt: skip


@asynccontextmanager
async def by_asyncpg(where: Place) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(database(where))
    try:
        async with connection.transaction():
            yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def by_async_psycopg(where: Place) -> AsyncIterator[Any]:
    async with await psycopg.AsyncConnection.connect(database(where), row_factory=dict_row) as connection:
        yield connection


@asynccontextmanager
async def by_async_session(where: Place) -> AsyncIterator[Any]:
    engine = create_async_engine(database(where).replace("postgresql://", "postgresql+asyncpg://"))
    try:
        async with AsyncSession(engine) as session, session.begin():
            yield session
    finally:
        await engine.dispose()


# ------------------------------------------------------------------------------------------------------------ the tests


@pytest.fixture
def where(request: pytest.FixtureRequest) -> Place:
    return place(request.param, request)


async def standing(backends: Backends) -> tuple[int, int, int]:
    """Records, messages, lines of the feed."""
    depths = await backends.broker.depth()
    waiting = sum(each.ready for each in depths)
    return await backends.results.records.count(Filter()), waiting, len(await backends.results.records.changes(0))


async def taken_after(app: Penstock, work: Callable[[], Awaitable[tuple[str, float]]]) -> tuple[str, float]:
    """Let a worker sleep, do `work`, which answers a task's id and when it was committed; how long it took, seconds."""
    async with app.backends() as backends, consumer(backends.broker) as taker:
        fetching = asyncio.create_task(taker.fetch(1))
        await asyncio.sleep(0.3)
        task_id, committed = await work()
        async with asyncio.timeout(PATIENCE):
            [found] = await fetching
        assert found.message.task_id == task_id
        assert (await backends.results.records.get([task_id]))[task_id].task == "add"
        return task_id, time.perf_counter() - committed


@pytest.mark.parametrize(("where", "connected"), SYNC, indirect=["where"])
class TestPlainCode:
    async def test_what_is_committed_is_queued_and_wakes_a_worker(self, where: Place, connected: Any) -> None:
        app = an_app(where)

        async def work() -> tuple[str, float]:
            return await asyncio.to_thread(commit)

        def commit() -> tuple[str, float]:
            with connected(where) as connection:
                handle = app.tasks["add"].apply_async((1, 2), connection=connection)
                assert handle.id
            return handle.id, time.perf_counter()

        _, seconds = await taken_after(app, work)
        assert seconds < 4  # sooner than every safety net of PostgreSQL's sleepers
        app.close()

    async def test_what_is_rolled_back_was_never_there(self, where: Place, connected: Any) -> None:
        app = an_app(where)

        def undo() -> None:
            with suppress(Undone), connected(where) as connection:
                app.tasks["add"].apply_async((1, 2), connection=connection)
                raise Undone

        async with app.backends() as backends, consumer(backends.broker) as taker:
            fetching = asyncio.create_task(taker.fetch(1))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(undo)
            await asyncio.sleep(0.2)
            assert await standing(backends) == (0, 0, 0)
            assert not fetching.done()
            taker.nudge()
            assert await fetching == []
        app.close()

    async def test_a_taken_id_leaves_the_transaction_as_it_was(self, where: Place, connected: Any) -> None:
        app = an_app(where)
        add = app.tasks["add"]
        await asyncio.to_thread(lambda: add.apply_async((1, 2), task_id="taken"))

        def commit() -> None:
            with connected(where) as connection:
                add.apply_async((1, 2), task_id="first", connection=connection)
                with pytest.raises(TaskIdTaken, match="taken"):
                    add.apply_async((1, 2), task_id="taken", connection=connection)

        await asyncio.to_thread(commit)
        async with app.backends() as backends:
            found = await backends.results.records.get(["first", "taken"])
            assert set(found) == {"first", "taken"}
            assert await standing(backends) == (2, 2, 2)
        app.close()


@pytest.mark.parametrize("where", ["postgres"], indirect=True)
@pytest.mark.parametrize("connected", [by_asyncpg, by_async_psycopg, by_async_session])
class TestCoroutines:
    async def test_what_is_committed_is_queued_and_wakes_a_worker(self, where: Place, connected: Any) -> None:
        app = an_app(where)

        async def commit() -> tuple[str, float]:
            async with connected(where) as connection:
                handle = await app.tasks["add"].aapply_async((1, 2), connection=connection)
            return handle.id, time.perf_counter()

        _, seconds = await taken_after(app, commit)
        assert seconds < 4
        await app.aclose()

    async def test_what_is_rolled_back_was_never_there(self, where: Place, connected: Any) -> None:
        app = an_app(where)
        with suppress(Undone):
            async with connected(where) as connection:
                await app.tasks["add"].aapply_async((1, 2), connection=connection)
                raise Undone
        async with app.backends() as backends:
            assert await standing(backends) == (0, 0, 0)
        await app.aclose()

    async def test_plain_code_is_told_to_await(self, where: Place, connected: Any) -> None:
        app = an_app(where)
        async with connected(where) as connection:
            with pytest.raises(ConfigurationError, match="aapply_async"):
                app.tasks["add"].apply_async((1, 2), connection=connection)
        app.close()


class TestRights:
    def test_another_login_needs_no_more_than_usage_of_the_schema(self, request: pytest.FixtureRequest) -> None:
        where = place("postgres", request)
        app = an_app(where)
        schema = where.url.rpartition("=")[2]
        request.getfixturevalue("postgres_server").sql(
            f"CREATE ROLE web_{schema} LOGIN PASSWORD 'web'", f"GRANT USAGE ON SCHEMA {schema} TO web_{schema}"
        )
        login = database(where).replace("penstock:penstock", f"web_{schema}:web")
        with psycopg.connect(login) as connection:
            handle = app.tasks["add"].apply_async((1, 2), connection=connection)
        assert handle.status == "PENDING"
        app.close()


class TestRefusals:
    @pytest.mark.parametrize("where", ["memory", "redis"], indirect=True)
    def test_a_broker_without_transactions_names_the_other_way(self, where: Place) -> None:
        app = an_app(where)
        with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(ConfigurationError, match="on_commit"):
            app.tasks["add"].apply_async((1, 2), connection=connection)
        app.close()

    @pytest.mark.parametrize("where", ["postgres"], indirect=True)
    def test_records_in_another_place_are_refused(self, where: Place) -> None:
        app = Penstock("shop", broker=where.url, result_backend="memory://elsewhere")
        with psycopg.connect(database(where)) as connection, pytest.raises(ConfigurationError, match="two places"):
            app.send_task("add", (1, 2), connection=connection)
        app.close()

    @pytest.mark.parametrize("where", ["sqlite"], indirect=True)
    def test_another_file_is_refused(self, where: Place) -> None:
        app = an_app(where)
        with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(ConfigurationError, match="in memory"):
            app.tasks["add"].apply_async((1, 2), connection=connection)
        app.close()

    def test_another_database_is_refused(self, request: pytest.FixtureRequest) -> None:
        where = place("postgres", request)
        app = an_app(where)
        login = database(where).replace("/postgres", "/template1")
        with psycopg.connect(login) as connection, pytest.raises(ConfigurationError, match="another database"):
            app.tasks["add"].apply_async((1, 2), connection=connection)
        app.close()

    def test_one_of_both_is_given(self) -> None:
        app = Penstock("shop", broker="memory://both")
        with pytest.raises(InvalidOptions, match="either"):
            app.send_task("add", (1, 2), connection=object(), on_commit=object())


@pytest.mark.parametrize(("failing", "expected"), [({1}, Undone), ({0, 2}, ExceptionGroup)])
def test_one_that_fails_does_not_keep_the_others_back(failing: set[int], expected: type[Exception]) -> None:
    sent = []

    def send(number: int) -> None:
        sent.append(number)
        if number in failing:
            raise Undone

    with Session(sqlalchemy.create_engine("sqlite://")) as session:
        for number in range(4):
            enlist.after(session, partial(send, number))
        with pytest.raises(expected) as told:
            session.commit()
    assert sent == [0, 1, 2, 3]
    if len(failing) > 1:
        assert str(told.value).startswith("2 of 4 tasks of this transaction were not queued")


@pytest.mark.parametrize("where", ["redis", "memory"], indirect=True)
class TestAfterTheCommit:
    """Where messages are not in the user's database."""

    @pytest.fixture
    def session(self) -> Iterator[Session]:
        with Session(sqlalchemy.create_engine("sqlite://")) as session:
            yield session

    def test_it_is_sent_after_the_commit_and_its_id_is_known_before(self, where: Place, session: Session) -> None:
        app = an_app(where)
        handle = app.tasks["add"].apply_async((1, 2), on_commit=session)
        assert self.known(app, handle.id) == set()
        session.commit()
        assert self.known(app, handle.id) == {handle.id}
        session.commit()
        app.close()

    def test_a_rollback_forgets_it(self, where: Place, session: Session) -> None:
        app = an_app(where)
        handle = app.tasks["add"].apply_async((1, 2), on_commit=session)
        session.rollback()
        session.begin()
        session.commit()
        assert self.known(app, handle.id) == set()
        app.close()

    def test_savepoints_count(self, where: Place, session: Session) -> None:
        app = an_app(where)
        session.execute(sqlalchemy.text("SELECT 1"))
        with session.begin_nested():
            kept = app.tasks["add"].apply_async((1, 2), on_commit=session)
        with suppress(Undone), session.begin_nested():
            gone = app.tasks["add"].apply_async((1, 2), on_commit=session)
            raise Undone
        assert self.known(app, kept.id, gone.id) == set()
        session.commit()
        assert self.known(app, kept.id, gone.id) == {kept.id}
        app.close()

    @staticmethod
    def known(app: Penstock, *ids: str) -> set[str]:
        async def look(submitter: Any) -> set[str]:
            return set(await submitter.backends.results.records.get(ids))

        return app.portal.call(look)
