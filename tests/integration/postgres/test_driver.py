"""The driver when the server is away, wrong, pooled, or of another version."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from penstock.brokers.postgres import open_broker
from penstock.core.errors import ConfigurationError, PenstockError, StorageError, Unavailable
from penstock.drivers.postgres import Postgres, Session, open_driver
from penstock.drivers.postgres.schema import Migration, load
from penstock.results.postgres import open_results
from penstock.testing.conformance.broker.samples import consumer, fetch, sleeping, task
from tests.certificates import Authority
from tests.processes import eventually, free_port
from tests.servers import PASSWORD, program
from tests.servers import Postgres as Server


async def one(driver: Postgres) -> Any:
    async def ask(session: Session) -> Any:
        return await session.value("SELECT 1")

    return await driver.write(ask)


async def healed(driver: Postgres) -> None:
    """Until it answers again."""
    async with asyncio.timeout(60):
        while True:
            try:
                assert await one(driver) == 1
                return
            except Unavailable:
                await asyncio.sleep(0.05)


@pytest.fixture
def server() -> Iterator[Server]:
    """One of our own, to be killed."""
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server that speaks TLS, and the authority of its certificate."""
    authority = Authority(tmp_path_factory.mktemp("tls"))
    mine, server = authority.sign("server"), Server(ssl="on")
    data = server.folder / "data"
    for made, name in ((mine.certificate, "server.crt"), (mine.key, "server.key")):
        path = Path(shutil.copy(made, data / name))
        path.chmod(0o600)
        os.chown(path, data.stat().st_uid, data.stat().st_gid)
    with server:
        yield server, authority.certificate


class TestFaults:
    @pytest.mark.parametrize(
        ("change", "kind", "told"),
        [
            ((PASSWORD, "wrong"), ConfigurationError, "login is refused"),
            (("/postgres", "/nowhere"), ConfigurationError, "does not exist"),
            (("postgres?", "postgres?sslmode=require&"), Unavailable, "SSL"),
        ],
    )
    async def test_what_is_wrong_is_said_in_one_line(
        self, postgres_server: Server, change: tuple[str, str], kind: type[PenstockError], told: str
    ) -> None:
        driver = open_driver(postgres_server.fresh().replace(*change, 1))
        with pytest.raises((ConfigurationError, Unavailable)) as caught:
            await driver.open()
        await driver.close()
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)
        assert type(caught.value) in (kind, ConfigurationError)

    async def test_a_server_that_is_not_there_is_unavailable_at_once(self) -> None:
        driver = open_driver(f"postgresql://me:{PASSWORD}@127.0.0.1:{free_port()}/db")
        with pytest.raises(Unavailable) as caught:
            await driver.open()
        assert caught.value.unsent
        assert PASSWORD not in str(caught.value)

    async def test_a_login_that_may_not_make_a_schema_is_told_what_it_needs(self, postgres_server: Server) -> None:
        postgres_server.sql("CREATE ROLE poor LOGIN PASSWORD 'poor'")
        url = postgres_server.fresh().replace(f"penstock:{PASSWORD}", "poor:poor")
        driver = open_driver(url)
        with pytest.raises(StorageError, match="grant it CREATE"):
            await driver.open()
        await driver.close()

    async def test_another_encoding_is_refused(self, postgres_server: Server) -> None:
        postgres_server.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
        driver = open_driver(postgres_server.fresh().replace("/postgres?", "/latin?"))
        with pytest.raises(StorageError, match="encoding is LATIN1"):
            await driver.open()
        await driver.close()

    async def test_doctor_is_told_of_what_is_weak(self, postgres_server: Server) -> None:
        driver = open_driver(postgres_server.fresh())
        await driver.open()
        found = {finding.check: finding for finding in await driver.examine()}
        await driver.close()
        assert "PostgreSQL" in found["versions"].detail
        assert (found["durability"].verdict, "synchronous_commit on" in found["durability"].detail) == ("weak", True)
        assert "superuser" in found["login"].detail
        assert found["clock"].verdict == "ok"


class TestOutages:
    async def test_the_connections_heal_after_a_restart(self, server: Server) -> None:
        driver = open_driver(server.url)
        await driver.open()
        await one(driver)
        await asyncio.to_thread(server.restart)
        assert await one(driver) == 1  # on a new connection: nothing of it had been sent on the old one
        await driver.close()

    async def test_while_the_server_is_away_calls_fail_fast_and_afterwards_they_do_not(self, server: Server) -> None:
        broker = open_broker(server.url)
        await broker.open()
        await asyncio.to_thread(server.kill)
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await broker.publish([task()])
            assert time.monotonic() - began < 10
        await asyncio.to_thread(server.start)
        assert isinstance(broker.driver, Postgres)
        await healed(broker.driver)
        await broker.publish([task("after")])
        async with consumer(broker) as taker:
            assert "after" in [each.message.task_id for each in await fetch(taker)]
        await broker.close()

    async def test_a_server_that_stands_still_is_unavailable_after_the_timeout(self, server: Server) -> None:
        driver = open_driver(f"{server.url}?timeout=0.5&connect_timeout=0.5")
        await driver.open()
        server.freeze()
        try:
            with pytest.raises(Unavailable) as caught:
                await one(driver)
            assert caught.value.unsent  # the transaction had not come to its COMMIT
            with pytest.raises(Unavailable):
                await one(driver)
        finally:
            server.thaw()
        await healed(driver)
        await driver.close()

    async def test_a_sleeper_hears_again_after_a_restart(self, server: Server) -> None:
        async with asyncio.timeout(90):
            broker = open_broker(server.url)
            await broker.open()
            taker = broker.consume(["default"], "lease")
            fetching = asyncio.create_task(taker.fetch(10))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.restart)
            assert isinstance(broker.driver, Postgres)
            await healed(broker.driver)
            await broker.publish([task("t")])
            while True:
                try:
                    found = await fetching
                    break
                except Unavailable:
                    fetching = asyncio.create_task(taker.fetch(10))
            assert [each.message.task_id for each in found] == ["t"]
            await taker.stop()
            await broker.close()


class TestEncryption:
    @pytest.mark.parametrize(
        ("options", "way"),
        [
            ("", "over TLS"),
            ("sslmode=require", "over TLS"),
            ("sslmode=verify-full&sslrootcert={authority}", "over TLS"),
            ("sslmode=disable", "without TLS"),
        ],
    )
    async def test_the_mode_is_that_of_the_url(self, encrypted: tuple[Server, Path], options: str, way: str) -> None:
        server, authority = encrypted
        driver = open_driver(f"{server.fresh()}&{options.format(authority=authority)}")
        await driver.open()
        [login] = [finding.detail for finding in await driver.examine() if finding.check == "login"]
        await driver.close()
        assert way in login

    @pytest.mark.parametrize(
        "options", ["sslmode=verify-full", "sslmode=verify-full&host=localhost&sslrootcert={authority}"]
    )
    async def test_a_certificate_that_proves_nothing_is_refused(
        self, encrypted: tuple[Server, Path], options: str
    ) -> None:
        server, authority = encrypted
        driver = open_driver(f"{server.fresh()}&{options.format(authority=authority)}")
        with pytest.raises((ConfigurationError, Unavailable), match="certificate") as caught:
            await driver.open()
        await driver.close()
        assert "\n" not in str(caught.value)


class TestWakeUps:
    async def test_nobody_is_notified_unless_somebody_sleeps(self, postgres_server: Server) -> None:
        broker, other = (open_broker(url) for url in [postgres_server.fresh()] * 2)
        await broker.open()
        await other.open()
        assert isinstance(other.driver, Postgres)
        for _ in range(20):
            await other.publish([task()])
        assert other.driver.counters.wakes == 0
        async with consumer(broker) as taker:
            assert len(await fetch(taker)) == 20
            fetching = asyncio.create_task(taker.fetch(10))
            await asyncio.sleep(0.5)
            await other.publish([task("t")])
            async with asyncio.timeout(4):  # the safety net would be slower
                assert [each.message.task_id for each in await fetching] == ["t"]
        driver = other.driver
        assert driver.counters.wakes == 1
        await broker.close()
        await other.close()


class TestMigrations:
    async def test_many_that_open_at_once_migrate_once(self, postgres_server: Server) -> None:
        url = postgres_server.fresh()
        drivers = [open_driver(url) for _ in range(8)]
        await asyncio.gather(*(driver.open() for driver in drivers))
        assert [await one(driver) for driver in drivers] == [1] * 8
        for driver in drivers:
            await driver.close()

    async def test_a_newer_schema_that_needs_more_is_refused_and_one_that_does_not_is_used(
        self, postgres_server: Server
    ) -> None:
        url = postgres_server.fresh()
        known = load()
        text = "ALTER TABLE penstock.queues ADD COLUMN colour text NOT NULL DEFAULT 'blue'"
        newer = open_driver(url)
        newer._migrations = (*known, Migration(998, known[-1].number, text))
        await newer.open()
        old = open_driver(url)
        await old.open()
        assert await one(old) == 1
        await old.close()
        await newer.close()
        newest = open_driver(url)
        newest._migrations = (*known, Migration(998, 1, text), Migration(999, 999, "SELECT 1"))
        await newest.open()
        await newest.close()
        with pytest.raises(StorageError, match="upgrade it"):
            await old.open()
        await old.close()

    async def test_who_migrates_lets_those_finish_who_would_wait_for_him_in_a_circle(
        self, postgres_server: Server
    ) -> None:
        url = postgres_server.fresh()
        driver = await _newer(url)
        held = await _holding(url, "messages")
        migrating = asyncio.create_task(driver.open())
        await _awaited(held, "messages")  # by now it has records
        async with asyncio.timeout(1.5):
            await held.execute("SELECT 1 FROM records LIMIT 1")
        await held.execute("COMMIT")
        await held.close()
        await migrating
        assert await one(driver) == 1
        await driver.close()

    async def test_a_table_that_is_held_for_too_long_is_told(
        self, postgres_server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("penstock.drivers.postgres.schema._TRIES", 2)
        url = postgres_server.fresh()
        driver = await _newer(url)
        held = await _holding(url, "records")
        with pytest.raises(Unavailable, match="a lock was not to be had in time"):
            await driver.open()
        await held.close()
        await driver.open()  # as anybody may who comes later
        await driver.close()

    async def test_schemas_are_strangers_to_one_another(self, postgres_server: Server) -> None:
        one, other = open_broker(postgres_server.fresh()), open_broker(postgres_server.fresh())
        await one.open()
        await other.open()
        await one.publish([task("t")])
        assert await other.depth() == []
        await one.close()
        await other.close()

    async def test_broker_and_results_at_one_url_share_a_driver(self, postgres_server: Server) -> None:
        url = postgres_server.fresh()
        driver = open_driver(url)
        assert open_broker(url, driver=driver).driver is open_results(url, driver=driver).driver


async def _newer(url: str) -> Postgres:
    """A driver of a version with one more migration than the tables have, which changes two of them."""
    driver = open_driver(url)
    await driver.open()
    await driver.close()
    known = load()
    text = "ALTER TABLE penstock.records ADD COLUMN colour text; ALTER TABLE penstock.messages ADD COLUMN colour text"
    driver._migrations = (*known, Migration(known[-1].number + 1, 1, text))
    return driver


async def _holding(url: str, table: str) -> Any:
    """Somebody within a transaction who has read this table."""
    address, _, schema = url.partition("?schema=")
    connection = await asyncpg.connect(address)
    await connection.execute(f"SET search_path = {schema}")
    await connection.execute("BEGIN")
    await connection.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608 - of this file
    return connection


async def _awaited(held: Any, table: str) -> None:
    """Until somebody waits for this table."""
    async with asyncio.timeout(10):
        while True:
            if await held.fetchval("SELECT 1 FROM pg_locks WHERE relation = $1::text::regclass AND NOT granted", table):
                return
            await asyncio.sleep(0.01)


class TestPooler:
    @pytest.fixture
    def pooled(self, postgres_server: Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
        """The URL of a PgBouncer in the mode of the parameter."""
        port = free_port()
        (tmp_path / "users.txt").write_text(f'"penstock" "{PASSWORD}"\n')
        (tmp_path / "pgbouncer.ini").write_text(
            f"[databases]\npostgres = host=127.0.0.1 port={postgres_server.port} dbname=postgres\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = plain\nunix_socket_dir =\n"
            f"auth_file = {tmp_path}/users.txt\npool_mode = {request.param}\nlogfile =\npidfile =\n"
        )
        user = "nobody" if os.geteuid() == 0 else None
        if user:
            for path in (tmp_path, *tmp_path.iterdir()):
                os.chown(path, pwd.getpwnam(user).pw_uid, -1)
            for parent in tmp_path.parents:
                if parent.name.startswith(("pytest-", "popen-")):
                    parent.chmod(parent.stat().st_mode | 0o111)
        command = [program(postgres_server, "pgbouncer"), "-q", str(tmp_path / "pgbouncer.ini")]
        process = subprocess.Popen(command, user=user, stderr=subprocess.DEVNULL)
        place = postgres_server.fresh().replace(f":{postgres_server.port}/", f":{port}/")
        try:
            eventually(lambda: _listens(port), what="PgBouncer serves")
            yield place
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(30)

    @pytest.mark.parametrize("pooled", ["session"], indirect=True)
    async def test_behind_a_pooler_of_sessions_everything_works(self, pooled: str) -> None:
        broker = open_broker(pooled)
        await broker.open()
        async with consumer(broker) as taker, sleeping(_Quiet(), taker):  # type: ignore[arg-type]
            await broker.publish([task("t")])
        await broker.close()

    @pytest.mark.parametrize("pooled", ["transaction", "statement"], indirect=True)
    async def test_a_pooler_of_transactions_is_refused_in_one_line(self, pooled: str) -> None:
        driver = open_driver(pooled)
        with pytest.raises(ConfigurationError, match="pool_mode = session") as caught:
            await driver.open()
        assert "\n" not in str(caught.value)
        await driver.close()


class _Quiet:
    quiet = 0.3


def _listens(port: int) -> bool:
    async def ask() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    return asyncio.run(ask())
