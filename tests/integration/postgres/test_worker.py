"""Workers on PostgreSQL: cut off from their server, or older than its schema; nothing is lost (DESIGN §6)."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.client.backends import Backends
from penstock.core.errors import Unavailable
from penstock.core.record import Filter
from penstock.core.states import SUCCESS
from penstock.drivers.postgres import Session, open_driver
from penstock.drivers.postgres.schema import Migration, load
from tests.integration.field import Field
from tests.processes import eventually
from tests.servers import Postgres


@pytest.fixture
def server() -> Iterator[Postgres]:
    """One of our own, to be killed; it answers when what it has committed is on disk."""
    with Postgres(fsync="on", synchronous_commit="on") as server:
        yield server


@pytest.fixture
def field_at(tmp_path: Path) -> Callable[..., Field]:
    return lambda url, **settings: Field(tmp_path, url, **settings)


def successes(field: Field) -> int:
    return field.ask(lambda backends: backends.results.records.count(Filter(states=(SUCCESS,))))


@pytest.mark.timeout(400)
def test_a_killed_server_loses_none_of_twenty_thousand_tasks(server: Postgres, field_at: Callable[..., Field]) -> None:
    field = field_at(server.url)
    count = 20_000
    field.send_many("add", count, 1, 1)
    with field.worker(processes=2):
        eventually(lambda: successes(field) > count // 10, within=120, what="the first tasks to end")
        server.kill()
        began = time.monotonic()
        with pytest.raises(Unavailable):
            field.send("add", 1, 1)
        assert time.monotonic() - began < 15  # fails fast, however busy this machine is
        server.start()
        again = eventually(lambda: _sent(field), within=60, what="a submission after the restart")
        assert again
        field.ended(again, within=120)  # the worker's connections have healed
        eventually(lambda: successes(field) == count + 1, within=300, what="every task to end in SUCCESS")
    assert field.depth() == 0


def _sent(field: Field) -> str | None:
    try:
        return field.send("add", 1, 1)
    except Unavailable:
        return None


def test_an_old_worker_goes_on_while_a_new_api_migrates_under_load(
    postgres_server: Postgres, field_at: Callable[..., Field], monkeypatch: pytest.MonkeyPatch
) -> None:
    field = field_at(postgres_server.fresh())
    accepted: list[str] = []
    stop = threading.Event()

    def load_on() -> None:
        while not stop.is_set():
            accepted.append(field.send("add", 1, 1))

    with field.worker(processes=2):  # of this version
        sender = threading.Thread(target=load_on)
        sender.start()
        eventually(lambda: len(accepted) > 100)
        known = load()
        newer = Migration(
            999,
            known[-1].number,
            "ALTER TABLE penstock.records ADD COLUMN colour text NOT NULL DEFAULT 'blue';"
            "ALTER TABLE penstock.messages ADD COLUMN weight integer;"
            "CREATE TABLE penstock.novelties (id bigint PRIMARY KEY);",
        )

        async def serve(backends: Backends) -> list[str]:
            """What the new version's API does: migrate, then submit and read."""
            made = [field.app.prepare("add", (1, 1), check=False) for _ in range(200)]
            for each in made:
                await backends.results.records.create([each.record])
                await backends.broker.publish([each.message])
            return [each.record.task_id for each in made]

        with monkeypatch.context() as patched:
            patched.setattr("penstock.drivers.postgres.schema.load", lambda: (*known, newer))
            submitted = field.ask(serve)
        before = len(accepted)
        eventually(lambda: len(accepted) > before + 100)  # the old ones go on
        stop.set()
        sender.join(60)
        records = field.ended(*submitted, *accepted, within=120)
    assert {each.state for each in records} == {SUCCESS}
    assert field.depth() == 0
    assert asyncio.run(_newest(field.url)) == 999  # asked by an old one, which works with it


async def _newest(url: str) -> int:
    driver = open_driver(url)

    async def look(session: Session) -> int:
        statement = driver.statements({"newest": "SELECT max(number) FROM penstock.migrations"})["newest"]
        return int(await session.value(statement))

    try:
        return int(await driver.read(look))
    finally:
        await driver.close()
