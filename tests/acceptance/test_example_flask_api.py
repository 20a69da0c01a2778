"""The Flask API behind HAProxy, three times, with three workers and Redis: started from its Marathon file."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hcl2
import httpx
import pytest

from tests.acceptance.tables import Checks, check_of, rows
from tests.processes import eventually, listens
from tests.raml import Library
from tests.running.balancer import VHOSTS
from tests.running.files import read
from tests.running.instance import Instance
from tests.running.system import System

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "flask_api"
PASSWORD = "a-password-of-the-tests"
HOST = {"Host": "api.example.org"}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("volumes")
    with System(read(EXAMPLE / "marathon.json", {"REDIS_PASSWORD": PASSWORD}, folder)) as running:
        yield running


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[httpx.Client]:
    limits = httpx.Limits(max_keepalive_connections=0)  # HAProxy ends what is idle when it hears of another instance
    with httpx.Client(base_url=system.url("api"), timeout=60, limits=limits) as opened:
        yield opened


def submit(client: httpx.Client) -> str:
    answer = client.post("/tasks")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["task_id"])


def ended(client: httpx.Client, task_id: str) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        task: dict[str, Any] = client.get(f"/tasks/{task_id}").json()
        return task if task["status"] in ("SUCCESS", "FAILURE") else None

    return eventually(found, within=60, every=0.1) or {}


def apps() -> dict[str, dict[str, Any]]:
    return {app["id"].rpartition("/")[2]: app for app in json.loads((EXAMPLE / "marathon.json").read_text())["apps"]}


def words(instance: Instance) -> list[str]:
    """The command line of the running process."""
    return Path(f"/proc/{instance.pid}/cmdline").read_bytes().decode().split("\0")


def variables(instance: Instance) -> dict[str, str]:
    """The environment of the running process."""
    lines = Path(f"/proc/{instance.pid}/environ").read_bytes().decode().split("\0")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


# ------------------------------------------------------------------------------------------------------ under trouble


def test_a_part_of_each_kind_is_killed_under_load_and_no_task_is_lost(system: System) -> None:
    """One API instance down is not seen by any client; Redis down is, and what it had taken is there again."""

    def some(count: int) -> list[str]:
        # a connection each: one that is kept may be closed by the proxy in the moment its next request is on its way
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=system.url("api"), timeout=60, limits=limits) as client:
            return [submit(client) for _ in range(count)]

    with ThreadPoolExecutor(4) as pool:
        posting = [pool.submit(some, 100) for _ in range(4)]
        time.sleep(0.5)
        system["api"][1].kill()
        system["worker"][0].kill()
        ids = [task_id for each in posting for task_id in each.result()]
    system.scale("worker", 5)
    assert system.balancer is not None
    system["redis"][0].kill()
    system.balancer.kill()
    eventually(lambda: system["redis"][0].starts == 2 and system.balancer and system.balancer.starts == 2)
    system.wait()
    eventually(lambda: listens(10001, system.names["marathon-lb.marathon.mesos"]))
    # Redis listens before it has read its data, which its health check by TCP does not see
    eventually(lambda: httpx.get(f"{system.url('api')}/tasks/none", timeout=60).status_code == 200)
    ids += some(20)
    system.scale("worker", 2)
    with httpx.Client(base_url=system.url("api"), timeout=60) as client:
        tasks = [ended(client, task_id) for task_id in ids]
    assert {task["status"] for task in tasks} == {"SUCCESS"}
    assert len(set(ids)) == 420
    assert system["api"][1].starts == 2
    system.scale("worker", 3)


def test_haproxy_leaves_an_instance_out_that_does_not_answer(system: System, client: httpx.Client) -> None:
    configured = system.folder / "haproxy.cfg"
    addresses = [instance.address for instance in system["api"]]
    eventually(lambda: all(address in configured.read_text() for address in addresses))
    system.scale("api", 1)
    eventually(lambda: addresses[2] not in configured.read_text())
    assert all(client.get("/").text == "Hello world!" for _ in range(10))
    system.scale("api", 3)
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    assert haproxy is not None, "HAProxy is not installed: apt-get install haproxy"
    checked = subprocess.run([haproxy, "-c", "-f", configured], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


# ----------------------------------------------------------------------------------------------------------- the files


def test_the_marathon_file_is_of_marathons_types() -> None:
    library = Library(ROOT / "tests" / "schemas" / "marathon" / "app.raml")
    assert [fault for name, app in apps().items() for fault in library.faults("App", app, name)] == []


def test_the_dockerfile_passes_hadolint_and_the_nomad_file_is_hcl() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, EXAMPLE / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    text = (EXAMPLE / "flask-api.nomad.hcl").read_text()
    hcl2.loads(text)
    for part in ("CELERY_BROKER_URI", "CELERY_RESULT_BACKEND", '["celery_worker"]', '["api"]', "REDIS_PASSWORD"):
        assert part in text
    assert len(re.findall(r"count = 3", text)) == 2


# ------------------------------------------------------------------------------------------------------- then and now


def redis_answers(system: System, *lines: str) -> list[str]:
    where = urlsplit(system.url("redis"))
    with socket.create_connection((where.hostname or "", where.port or 0), 30) as connection:
        spoken = connection.makefile("rw", newline="\r\n")
        answers = []
        for line in lines:
            spoken.write(f"{line}\n")
            spoken.flush()
            answers.append(spoken.readline().strip())
        return answers


def image(system: System, client: httpx.Client) -> None:
    assert apps()["redis"]["container"]["docker"]["image"].startswith("redis:")


def redis_command(system: System, client: httpx.Client) -> None:
    given = words(system["redis"][0])
    assert "redis-server" in given[0]
    assert "SECRET" not in (EXAMPLE / "marathon.json").read_text()
    assert redis_answers(system, f"AUTH {PASSWORD}", "EXISTS nothing") == ["+OK", ":0"]
    assert redis_answers(system, "PING")[0].startswith("-NOAUTH")


def redis_ports(system: System, client: httpx.Client) -> None:
    assert system.url("redis").endswith(":10000")
    assert system.units["redis"].ports == (6379,)


def volume(system: System, client: httpx.Client) -> None:
    (place,) = system.units["redis"].volumes.values()
    assert list(place.glob("appendonlydir/*.aof")), "the append-only file is in /data"
    assert apps()["redis"]["container"]["volumes"][0]["mode"] == "RW"


def tokens(system: System, client: httpx.Client) -> None:
    assert all({"PAAS_LOGS_TOKEN", "PAAS_TIMESERIES_TOKEN"} <= app["labels"].keys() for app in apps().values())


def tcp_check(system: System, client: httpx.Client) -> None:
    check = system.units["redis"].alive
    assert check is not None
    assert (check.port, check.path) == (6379, "")
    assert system["redis"][0].answers(check)


def telnet(system: System, client: httpx.Client) -> None:
    assert redis_answers(system, f"AUTH {PASSWORD}", "PING") == ["+OK", "+PONG"]


def constraint(system: System, client: httpx.Client) -> None:
    assert apps()["redis"]["constraints"] == [["hostname", "LIKE", "{{HOSTNAME}}"]]


def balancer(system: System, client: httpx.Client) -> None:
    where = urlsplit(system.url("api")).hostname
    assert system.names == {"marathon-lb.marathon.mesos": where}
    assert client.get("/").status_code == 200


def own_image(system: System, client: httpx.Client) -> None:
    assert {apps()[name]["container"]["docker"]["image"] for name in ("api", "worker")} == {"flask-api"}
    assert system.units["api"].build == system.units["worker"].build == EXAMPLE / "Dockerfile"


def three_apis(system: System, client: httpx.Client) -> None:
    assert len(system["api"]) == 3
    assert system.url("api").endswith(":10001")
    answers = [httpx.get(f"http://{instance.address}:5000/", timeout=30).text for instance in system["api"]]
    assert answers == ["Hello world!"] * 3


def entrypoint(system: System, client: httpx.Client) -> None:
    assert apps()["api"]["cmd"].endswith("exec /usr/src/app/entrypoint.sh api")
    text = (EXAMPLE / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["/usr/src/app/entrypoint.sh"]\nCMD ["api"]' in text
    wrong = subprocess.run([EXAMPLE / "entrypoint.sh", "both"], capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stderr) == (64, "entrypoint.sh both: it is api or celery_worker\n")


def place(variable: str, database: int) -> Any:
    def check(system: System, client: httpx.Client) -> None:
        for name in ("api", "worker"):
            found = variables(system[name][0])
            assert found[variable] == f"redis://:{PASSWORD}@{urlsplit(system.url('redis')).netloc}/{database}"
        _, selected, size = redis_answers(system, f"AUTH {PASSWORD}", f"SELECT {database}", "DBSIZE")
        assert selected == "+OK"
        assert int(size.removeprefix(":")) > 0

    return check


def mode(system: System, client: httpx.Client) -> None:
    text = (system.folder / "haproxy.cfg").read_text()
    assert re.search(r"frontend api_10001\n  bind \S+:10001\n  mode http\n", text)
    assert re.search(r"frontend redis_10000\n  bind \S+:10000\n  mode tcp\n", text)


def vhost(system: System, client: httpx.Client) -> None:
    base = f"{system.url('api').rpartition(':')[0]}:{VHOSTS}"
    assert httpx.get(base, headers=HOST, timeout=30).text == "Hello world!"
    assert httpx.get(base, headers={"Host": "other.example.org"}, timeout=30).status_code == 503


def http_check(system: System, client: httpx.Client) -> None:
    assert "option httpchk GET /\n" in (system.folder / "haproxy.cfg").read_text()
    assert system.units["api"].alive is not None
    assert system["api"][0].answers(system.units["api"].alive)


def hello(system: System, client: httpx.Client) -> None:
    assert client.get("/").text == "Hello world!"
    vhost(system, client)


def workers(system: System, client: httpx.Client) -> None:
    assert len(system["worker"]) == 3
    assert apps()["worker"]["cmd"].endswith("exec /usr/src/app/entrypoint.sh celery_worker")
    assert "worker" in words(system["worker"][0])


def worker_health(system: System, client: httpx.Client) -> None:
    for instance in system["worker"]:
        assert httpx.get(f"http://{instance.address}:8081/health/live", timeout=30).status_code == 200


def posted(system: System, client: httpx.Client) -> None:
    answer = client.post("/tasks")
    assert answer.json().keys() == {"task_id"}


def shown(system: System, client: httpx.Client) -> None:
    task = ended(client, submit(client))
    assert task.keys() == {"children", "result", "status", "traceback"}
    assert (task["children"], task["status"], task["traceback"]) == ([], "SUCCESS", None)
    assert 0 <= task["result"] <= 100


def another_answers(system: System, client: httpx.Client) -> None:
    text = (system.folder / "haproxy.cfg").read_text()
    assert "retry-on conn-failure empty-response" in text
    system["api"][0].kill()
    assert [client.get("/").status_code for _ in range(20)] == [200] * 20
    system.wait("api")


def taken_over(system: System, client: httpx.Client) -> None:
    ids = [submit(client) for _ in range(60)]
    system["worker"][1].kill()
    assert {ended(client, task_id)["status"] for task_id in ids} == {"SUCCESS"}
    system.wait("worker")


CHECKS: Checks = {
    "image `redis`": image,
    "`redis-server": redis_command,
    "port 6379": redis_ports,
    "volume `/data`": volume,
    "PaaS Logs token": tokens,
    "TCP health check": tcp_check,
    "`telnet`": telnet,
    "constraint": constraint,
    "`<username>.lb": balancer,
    "image `brouberol": own_image,
    "3 instances of the API": three_apis,
    "`/usr/src/app/entrypoint.sh api`": entrypoint,
    "`CELERY_BROKER_URI": place("CELERY_BROKER_URI", 0),
    "`CELERY_RESULT_BACKEND": place("CELERY_RESULT_BACKEND", 1),
    "label `HAPROXY_0_MODE`": mode,
    "label `HAPROXY_0_VHOST`": vhost,
    "HTTP health check": http_check,
    "`curl`": hello,
    "3 workers": workers,
    "no health check": worker_health,
    "`POST /tasks`": posted,
    "`GET /tasks/<id>`": shown,
    "a killed API instance": another_answers,
    "tasks of a killed worker": taken_over,
}


@pytest.mark.parametrize("row", rows(EXAMPLE / "README.md"))
def test_every_row_of_then_and_now_is_so(system: System, client: httpx.Client, row: str) -> None:
    CHECKS[check_of(row, CHECKS)](system, client)


def test_every_check_has_a_row() -> None:
    assert sorted(check_of(row, CHECKS) for row in rows(EXAMPLE / "README.md")) == sorted(CHECKS)
