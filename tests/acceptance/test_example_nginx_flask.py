"""nginx, gunicorn, RabbitMQ and workers, started by the example's own scripts; Locust fills the queue."""

from __future__ import annotations

import csv
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.tables import Checks, check_of, rows
from tests.processes import Launched, eventually, free_port, listens
from tests.running import docker
from tests.running.network import Network
from tests.running.system import System

EXAMPLE = Path(__file__).parents[2] / "examples" / "nginx_flask"
NGINX, FLASK, CELERY, RABBITMQ = (f"my_{name}_container" for name in ("nginx", "flask", "celery", "rabbitmq"))


@dataclass
class Site:
    """The running example, in a copy of its folder."""

    system: System
    docker: docker.Machine
    folder: Path
    client: httpx.Client

    def heavy(self) -> str:
        answer = self.client.get("/flask/heavy")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["task_id"])

    def status(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get("/flask/status", params={"task_id": task_id}).json()
        return found

    def ends(self, *ids: str) -> None:
        """Wait until they have ended, all of them well."""
        for task_id in ids:
            eventually(lambda each=task_id: self.status(each)["status"] == "SUCCESS", within=120, every=0.1)  # type: ignore[misc]

    def script(self, name: str) -> str:
        return self.docker.script(self.folder / name)

    def waiting(self) -> int:
        """How many tasks wait, as list_queues.sh tells."""
        lines = (line.split("\t") for line in self.script("list_queues.sh").splitlines())
        return sum(int(line[1]) for line in lines if line[0] == "default")

    @property
    def workers(self) -> list[str]:
        return [name for name in self.system.units if name.startswith(CELERY)]

    def started(self, *command: str | Path, env: Mapping[str, str] | None = None) -> Launched:
        return Launched([str(word) for word in command], self.folder, {**self.docker.environment, **(env or {})})

    def serves(self) -> bool:
        try:
            return self.client.get("/flask/tasks").status_code == 200
        except httpx.TransportError:  # nginx itself is not up yet
            return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("example") / "nginx_flask"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("db", "*.db*"))
    system, machine = docker.machine()
    with system, machine:
        machine.script(folder / "build.sh")
        with httpx.Client(base_url=system.url(NGINX), timeout=60) as client:
            made = Site(system, machine, folder, client)
            assert listens(5672, system[RABBITMQ][0].address), "build.sh waits for it"
            eventually(made.serves, within=90)
            made.ends(made.heavy())
            yield made


# ------------------------------------------------------------------------------------------------------ under trouble


def swarm(site: Site, seconds: int) -> int:
    """Locust for so long, without its pages; return how many tasks it queued. No request may fail."""
    options = f"--headless --users 8 --spawn-rate 8 --run-time {seconds}s --csv told --only-summary"
    locust = site.started(site.folder / "locust" / "locust", "--host", f"{site.client.base_url}/", *options.split())
    assert locust.process.wait(120) == 0, locust.printed()
    with (site.folder / "told_stats.csv").open() as file:
        (total,) = (row for row in csv.DictReader(file) if row["Name"] == "Aggregated")
    assert int(total["Failure Count"]) == 0, locust.printed()
    return int(total["Request Count"])


def states(site: Site) -> Counter[str]:
    """How many tasks there are in each state."""
    found: Counter[str] = Counter()
    cursor: str | None = ""
    while cursor is not None:
        page = site.client.get("/flask/tasks", params={"cursor": cursor} if cursor else {}).json()
        found.update(each["status"] for each in page["tasks"])
        cursor = page["next"]
    return found


def done(site: Site) -> int:
    """How many tasks have ended well."""
    return states(site)["SUCCESS"]


def rate(site: Site, tasks: int) -> float:
    """Tasks a second, while so many are run."""
    before, began = done(site), time.monotonic()
    eventually(lambda: done(site) >= before + tasks, within=120, every=0.5)
    return (done(site) - before) / (time.monotonic() - began)


def one_more(site: Site) -> None:
    site.script("launch_celery_worker.sh")
    eventually(lambda: " ready: " in site.system[site.workers[-1]][0].printed())


@pytest.mark.alone
@pytest.mark.timeout(600)
def test_locust_fills_the_queue_and_each_worker_that_is_added_drains_it_faster(site: Site) -> None:
    before, queued, seconds = done(site), 0, 3
    while queued < 600:
        queued += swarm(site, seconds)
        seconds *= 2  # on a slow machine
    rates = [rate(site, 60)]
    for more in (2, 3):
        one_more(site)
        rates.append(rate(site, 60 * more))
    # a worker runs 16 tasks at once, of two seconds on average: 8 a second each, if the machine has room for them
    assert rates[1] > 1.3 * rates[0], rates
    assert rates[2] > 1.15 * rates[1], rates
    one_more(site)
    eventually(lambda: states(site).keys() == {"SUCCESS"}, within=180, every=1, what="all that Locust queued has run")
    assert done(site) >= before + queued  # what it had asked for when it ended, it does not count
    assert site.waiting() == 0
    for name in site.workers[2:]:
        site.system.remove(name)


def test_one_of_each_part_is_killed_and_no_task_is_lost(site: Site) -> None:
    one_more(site)
    ids = [site.heavy() for _ in range(40)]
    site.system.remove(site.workers[-1])  # one that runs tasks leaves
    site.system[site.workers[0]][0].kill()
    site.system[RABBITMQ][0].kill()
    for name in (FLASK, NGINX):
        instance = site.system[name][0]
        starts = instance.starts
        instance.kill()
        eventually(lambda: instance.starts > starts)  # noqa: B023 - asked at once
        eventually(site.serves, within=90)
    eventually(lambda: listens(5672, site.system[RABBITMQ][0].address), within=90)
    ids += [site.heavy() for _ in range(20)]
    site.ends(*ids)


# ------------------------------------------------------------------------------------------------------- then and now


def requirements(site: Site) -> None:
    text = (site.folder / "flask" / "requirements.txt").read_text()
    assert {"flask", "gunicorn", "penstock[rabbitmq]"} == {line.partition(">")[0] for line in text.split()}


def standalone(site: Site) -> None:
    """With the example's RabbitMQ as the one of this machine, and its own backend.db."""
    port = free_port()
    broker = f"amqp://guest:guest@{site.system[RABBITMQ][0].address}:5672//"
    env = {"PORT": str(port), "CELERY_BROKER_URL": broker}
    server = site.started("python3", site.folder / "flask" / "standalone_app.py", env=env)
    worker = site.started(site.folder / "start_local_celery.sh", env=env)
    try:
        eventually(lambda: listens(port))
        worker.prints("ready")
        base = f"http://127.0.0.1:{port}/flask"
        task_id = httpx.get(f"{base}/heavy", timeout=30).json()["task_id"]
        task = f"{base}/status/{task_id}"
        eventually(lambda: httpx.get(task, timeout=30).json()["status"] == "SUCCESS", every=0.3)
        assert (site.folder / "flask" / "backend.db").exists()
    finally:
        server.clean()
        worker.clean()
    assert '"PORT", "8080"' in (EXAMPLE / "flask" / "standalone_app.py").read_text()


def local_worker(site: Site) -> None:
    assert (site.folder / "start_local_celery.sh").stat().st_mode & 0o111
    standalone(site)


def pages(site: Site) -> None:
    assert site.system.units[NGINX].published == {8000: 8000}
    assert site.client.get("/").text == (EXAMPLE / "document_root" / "index.html").read_text()
    (site.folder / "document_root" / "new.txt").write_text("new")
    assert site.client.get("/new.txt").text == "new"
    folder = site.system.folder / f"{NGINX}-0"
    tested = site.system[NGINX][0].inside(("nginx", "-t", "-p", str(folder), "-c", str(folder / "nginx.conf")))
    assert tested.returncode == 0, tested.stderr


def proxied(site: Site) -> None:
    assert site.client.get("/flask/tasks").headers["server"].startswith("nginx")
    assert site.client.get("/other").status_code == 404
    assert site.client.get("/flask/status").json() == {"error": "which? /flask/status?task_id=…"}


def words(site: Site, name: str) -> str:
    return Path(f"/proc/{site.system[name][0].pid}/cmdline").read_bytes().decode().replace("\0", " ")


def variables(site: Site, name: str) -> dict[str, str]:
    lines = Path(f"/proc/{site.system[name][0].pid}/environ").read_bytes().decode().split("\0")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def gunicorn(site: Site) -> None:
    assert "gunicorn app:app" in words(site, FLASK)


def rabbitmq(site: Site) -> None:
    expected = f"amqp://guest:guest@{site.system[RABBITMQ][0].address}:5672//"
    assert {variables(site, name)["CELERY_BROKER_URL"] for name in (FLASK, CELERY)} == {expected}
    assert "amqp://guest:guest@my_rabbitmq_container:5672//" in (EXAMPLE / "flask" / "Dockerfile").read_text()


def celery(site: Site) -> None:
    assert "worker app.py:celery" in words(site, CELERY)
    before = len(site.workers)
    site.script("launch_celery_worker.sh")
    assert len(site.workers) == before + 1
    assert site.workers[:2] == [CELERY, f"{CELERY}_2"]


def network(site: Site) -> None:
    assert site.docker.networks == ["my_network"]
    started = [words for words in site.docker.commands if words[0] == "run"]
    assert all(words[words.index("--network") + 1] == "my_network" for words in started)
    assert {NGINX, FLASK, CELERY, RABBITMQ} <= site.system.names.keys()


def database(site: Site) -> None:
    expected = f"sqlite:///{site.folder}/db/backend.db"
    assert {variables(site, name)["CELERY_RESULT_BACKEND"] for name in (FLASK, CELERY)} == {expected}
    assert (site.folder / "db" / "backend.db").stat().st_size > 0


def build(site: Site) -> None:
    built = [words[2] for words in site.docker.commands if words[0] == "build"]
    assert built == ["my_rabbitmq_image", "my_flask_image", "my_celery_image", "my_nginx_image"]
    assert [words[:2] for words in site.docker.commands if words[0] == "network"][-1] == ["network", "create"]
    hadolint = Path(sys.executable).with_name("hadolint")
    for name in ("flask", "celery", "nginx", "rabbitmq"):
        done = subprocess.run([hadolint, EXAMPLE / name / "Dockerfile"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")


def heavy(site: Site) -> None:
    ids = [site.heavy() for _ in range(3)]
    site.ends(*ids)
    assert all(1 <= site.status(task_id)["result"] <= 3 for task_id in ids)


def logs(site: Site) -> None:
    following = site.started("docker", "logs", "-f", CELERY)
    try:
        following.prints("ready")
    finally:
        following.clean()


def list_queues(site: Site) -> None:
    assert "default\t" in site.script("list_queues.sh")


def monitor(site: Site) -> None:
    watching = site.started(site.folder / "monitor_queue.sh")
    try:
        eventually(lambda: watching.printed().count("default\t") >= 2, within=180, what="the queues are told twice")
    finally:
        watching.clean()
    assert "sleep 2" in (EXAMPLE / "monitor_queue.sh").read_text()


def locust(site: Site) -> None:
    """On its own port, and an address that nobody else has."""
    address = Network().address()
    command: list[str | Path] = [
        site.folder / "locust" / "locust",
        "--host",
        f"{site.client.base_url}/",
        "--web-host",
        address,
    ]
    pages = site.started(*command)
    try:
        eventually(lambda: listens(8089, address))
        assert "Locust" in httpx.get(f"http://{address}:8089/", timeout=30).text
        begun = httpx.post(f"http://{address}:8089/swarm", data={"user_count": 2, "spawn_rate": 2}, timeout=30)
        assert begun.json()["success"], begun.text
        eventually(lambda: asked(address) > 5)
        httpx.get(f"http://{address}:8089/stop", timeout=30)
    finally:
        pages.clean()


def asked(address: str) -> int:
    told = httpx.get(f"http://{address}:8089/stats/requests", timeout=30).json()
    return int(sum(each["num_requests"] for each in told["stats"]))


def quick(site: Site) -> None:
    """What one visitor at a time can queue, a moment long: the whole minute is in the test of Locust, shorter."""
    began = time.monotonic()
    ids = [site.heavy() for _ in range(50)]
    assert len(set(ids)) == 50
    assert time.monotonic() - began < 50
    site.ends(*random.sample(ids, 3))


def faster(site: Site) -> None:
    running = [name for name in site.workers if site.system[name][0].running]
    assert len(running) == len(site.workers) > 1


def status(site: Site) -> None:
    task_id = site.heavy()
    assert site.status(task_id)["status"] in ("PENDING", "STARTED", "SUCCESS")
    site.ends(task_id)
    assert site.status(task_id).keys() == {"task_id", "status", "result"}


def tasks(site: Site) -> None:
    ids = [site.heavy() for _ in range(101)]
    first = site.client.get("/flask/tasks").json()
    assert {each["task_id"] for each in first["tasks"]} < set(ids)
    assert len(first["tasks"]) == 100
    second = site.client.get(f"/flask/tasks?cursor={first['next']}").json()
    assert second["tasks"][0]["task_id"] == ids[0]
    assert second["tasks"][0].keys() == {"task_id", "task", "status"}


CHECKS: Checks = {
    "`pip3 install": requirements,
    "`python3 ./standalone_app.py`": standalone,
    "`./start_local_celery.sh`": local_worker,
    "`nginx` container": pages,
    "requests with `/flask`": proxied,
    "`flask` container": gunicorn,
    "`rabbitmq` container": rabbitmq,
    "`celery` container": celery,
    "bridge network": network,
    "bind mount": database,
    "`build.sh`": build,
    "`/flask/heavy`": heavy,
    "`docker logs": logs,
    "`list_queues.sh`": list_queues,
    "`monitor_queue.sh`": monitor,
    "`./locust": locust,
    "within minutes": quick,
    "`launch_celery_worker.sh`": faster,
    "`/flask/status": status,
    "`/flask/tasks`": tasks,
}


@pytest.mark.parametrize("row", rows(EXAMPLE / "README.md"))
def test_every_row_of_then_and_now_is_so(site: Site, row: str) -> None:
    CHECKS[check_of(row, CHECKS)](site)


def test_every_check_has_a_row() -> None:
    assert sorted(check_of(row, CHECKS) for row in rows(EXAMPLE / "README.md")) == sorted(CHECKS)
