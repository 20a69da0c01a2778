"""What `penstock deploy` writes, started from the file: it serves, is scaled under load, and loses nothing to kills."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.acceptance.commands import CommandLine
from tests.processes import eventually
from tests.running import images
from tests.running.compose import MissingVariableError, interpolated
from tests.running.files import read
from tests.running.network import Inside
from tests.running.system import System

KEY = "a-key-for-the-tests"
SECRETS = {"PENSTOCK_API_KEYS": KEY, "REDIS_PASSWORD": "p1", "RABBITMQ_PASSWORD": "p2", "POSTGRES_PASSWORD": "p3"}
COUNT = 60


def client(system: System) -> httpx.Client:
    """With connections of its own: a process that is killed takes those that were open with it."""
    base = system.url(next(name for name in system.units if name.endswith("api")))
    # a connection each: one that is kept may be closed by a proxy in the moment its next request is on its way
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(base_url=base, headers={"Authorization": f"Bearer {KEY}"}, timeout=60, limits=limits)


def submit(system: System, count: int) -> list[str]:
    body = [{"task": "add", "args": [number, 1]} for number in range(count)]
    with client(system) as api:
        answer = api.post("/tasks", json=body)
        assert answer.status_code == 202, answer.text
        return [item["task_id"] for item in answer.json()["items"]]


def results(system: System, ids: Sequence[str]) -> list[int | None]:
    with client(system) as api:
        return [api.get(f"/tasks/{each}").json()["result"] for each in ids]


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("compose", ("--broker", "sqlite")),
        ("compose", ("--broker", "rabbitmq", "--backend", "redis")),
        ("marathon", ("--broker", "redis")),
        ("kubernetes", ("--broker", "rabbitmq", "--backend", "postgres")),
    ],
)
def test_what_is_deployed_runs_from_its_file(
    shop: CommandLine, tmp_path: Path, target: str, options: tuple[str, ...]
) -> None:
    folder = tmp_path / "deployed"
    shop.ok("deploy", target, "app.py", *options, "--scale", "worker=2", "--scale", "api=2", "-o", str(folder))
    (folder / "app.py").write_text((shop.folder / "app.py").read_text())
    (document,) = (path for path in folder.iterdir() if path.suffix in (".yaml", ".json"))
    with System(read(document, SECRETS, tmp_path)) as system:
        api, worker = (next(each for each in system.units if each.endswith(name)) for name in ("api", "worker"))
        assert [len(system[name]) for name in (api, worker)] == [2, 2]
        ids = submit(system, COUNT)
        system[worker][0].kill()
        system[api][0].kill()
        ids += submit(system, COUNT)
        for server in (each.name for each in system.units.values() if images.is_server(each)):
            system[server][0].kill()
        system.scale(worker, 4)
        system.wait()
        assert {name: system[name][0].starts for name in system.units} == dict.fromkeys(system.units, 2)
        leaving = system[worker][1:]
        system.scale(worker, 1)
        ids += submit(system, COUNT)
        expected = [number + 1 for number in range(COUNT)] * 3
        eventually(lambda: results(system, ids) == expected, within=90, every=0.5)
        assert not any(each.running for each in leaving)
        if target == "kubernetes":
            farewells = [(each.farewell.returncode, each.farewell.stdout) for each in leaving if each.farewell]
            names = [f"{worker}-{number}" for number in (1, 2, 3)]
            assert [(code, text.partition("@")[0]) for code, text in farewells] == [(0, name) for name in names]


@pytest.fixture
def inside(tmp_path: Path) -> Inside:
    names = {"redis": "127.9.9.2", "db": "127.9.9.3"}
    return Inside("127.9.9.1", names, {"/data": tmp_path, "/data/deep": tmp_path / "x"})


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("redis://:redis@redis:6379/0", "redis://:redis@127.9.9.2:6379/0"),
        ("postgresql://db:db@db/db", "postgresql://db:db@127.9.9.3/db"),
        ("--bind=0.0.0.0:5000", "--bind=127.9.9.1:5000"),
        ("http://127.0.0.1:8081/health", "http://127.9.9.1:8081/health"),
        ("sqlite:////data/penstock.db", "sqlite:///{}/penstock.db"),
        ("/database", "/database"),
        ("/data/deep/a:/data", "{}/x/a:{}"),
        ("redis:7-alpine", "redis:7-alpine"),
    ],
)
def test_names_addresses_and_folders_of_a_container_become_those_of_this_machine(
    inside: Inside, tmp_path: Path, said: str, meant: str
) -> None:
    assert inside.text(said) == meant.replace("{}", str(tmp_path))


def test_only_a_variable_that_says_so_is_a_name_alone(inside: Inside) -> None:
    assert inside.variable("DB_HOST", "db") == "127.9.9.3"
    assert inside.variable("DB_NAME", "db") == "db"


def test_a_secret_that_must_be_given_is_missed() -> None:
    assert interpolated("a: ${A}${B:-b}${C-c}$$", {"A": "1", "B": ""}) == "a: 1bc$"
    with pytest.raises(MissingVariableError, match="KEY: set it"):
        interpolated("a: ${KEY:?set it}", {})
