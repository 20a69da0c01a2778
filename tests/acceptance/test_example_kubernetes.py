"""RabbitMQ, PostgreSQL, workers, a sender and the dashboard, started from the example's manifests."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from tests.acceptance.tables import Checks, check_of, rows
from tests.processes import eventually
from tests.running.files import read
from tests.running.system import System

EXAMPLE = Path(__file__).parents[2] / "examples" / "kubernetes"
MANIFESTS = [
    each for file in sorted((EXAMPLE / "manifests").iterdir()) for each in yaml.safe_load_all(file.read_text())
]
KEY = "a-key-of-the-tests"
SECRETS = {"RABBITMQ_PASSWORD": "rabbits", "POSTGRES_PASSWORD": "elephants", "PENSTOCK_API_KEYS": KEY}
WORKER, SENDER, DASHBOARD, RABBITMQ = (f"{name}-controller" for name in ("celery", "run-tasks", "flower", "rabbitmq"))


@dataclass
class Site:
    """The running example."""

    system: System
    client: httpx.Client

    def add(self, x: int, y: int) -> str:
        answer = self.client.post("/tasks/celery_conf.add", json={"x": x, "y": y})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["task_id"])

    def tasks(self, **which: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get("/tasks", params={"task": "celery_conf.add", **which}).json()[
            "items"
        ]
        return found

    def ends(self, task_id: str) -> Any:
        def ended() -> bool:
            return bool(self.client.get(f"/tasks/{task_id}").json()["status"] == "SUCCESS")

        eventually(ended, within=90, every=0.1)
        return self.client.get(f"/tasks/{task_id}").json()["result"]

    def variables(self, name: str) -> dict[str, str]:
        lines = Path(f"/proc/{self.system[name][0].pid}/environ").read_bytes().decode().split("\0")
        return {name: value for name, _, value in (line.partition("=") for line in lines)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    description = read(EXAMPLE / "manifests", SECRETS, tmp_path_factory.mktemp("volumes"))
    with (
        System(description) as system,
        httpx.Client(base_url=system.url(DASHBOARD), headers={"Authorization": f"Bearer {KEY}"}, timeout=60) as client,
    ):
        yield Site(system, client)


def objects(kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in MANIFESTS if each["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    """The pods' specifications by the name of what runs them."""
    runs = objects("Deployment") | objects("StatefulSet")
    return {name: each["spec"]["template"]["spec"] for name, each in runs.items()}


def containers() -> dict[str, dict[str, Any]]:
    return {name: pod["containers"][0] for name, pod in pods().items()}


# ----------------------------------------------------------------------------------------------- under trouble, files


def test_one_of_each_part_is_killed_and_workers_come_and_go_and_no_task_is_lost(site: Site) -> None:
    ids = {site.add(number, 1): number + 1 for number in range(30)}
    for name in (WORKER, RABBITMQ, "postgres", SENDER):
        instance = site.system[name][0]
        starts = instance.starts
        instance.kill()
        eventually(lambda: instance.starts > starts)  # noqa: B023 - asked at once
        site.system.wait()
        site.system.scale(WORKER, 4 if name == RABBITMQ else 1)
        ids |= {site.add(number, 2): number + 2 for number in range(10)}
    site.system[DASHBOARD][0].kill()
    time.sleep(0.5)
    site.system.wait()
    site.system.scale(WORKER, 2)
    assert {task_id: site.ends(task_id) for task_id in ids} == ids


@pytest.mark.parametrize("version", ["1.33", "1.37"])
def test_the_manifests_are_of_two_releases(version: str) -> None:
    for manifest in MANIFESTS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_dockerfile_passes_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, EXAMPLE / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


# ------------------------------------------------------------------------------------------------------- then and now


def service(site: Site) -> None:
    (port,) = objects("Service")["rabbitmq-service"]["spec"]["ports"]
    assert port["port"] == 5672
    assert containers()[RABBITMQ]["ports"] == [{"name": "amqp", "containerPort": 5672}]


def selector(site: Site) -> None:
    for each in objects("Service").values():
        assert each["spec"]["selector"]["app"] == "taskQueue"


def rabbitmq(site: Site) -> None:
    broker = objects("StatefulSet")[RABBITMQ]
    assert broker["spec"]["replicas"] == 1 == len(site.system[RABBITMQ])
    assert containers()[RABBITMQ]["image"] == "rabbitmq:3.13"


def worker(site: Site) -> None:
    assert objects("Deployment")[WORKER]["spec"]["replicas"] == 2 == len(site.system[WORKER])
    assert containers()[WORKER]["image"] == "celery-app-add"


def ports(site: Site) -> None:
    assert "hostPort" not in str(MANIFESTS)
    assert {port["port"] for each in objects("Service").values() for port in each["spec"]["ports"]} == {
        5672,
        5432,
        5555,
    }


def resources(site: Site) -> None:
    for container in containers().values():
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def image(site: Site) -> None:
    text = (EXAMPLE / "Dockerfile").read_text()
    assert "FROM python:3.12-slim\n" in text
    assert "WORKDIR /data\nCOPY celery_conf.py run_tasks.py ./" in text


def root(site: Site) -> None:
    assert all(
        pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] for pod in pods().values()
    )
    assert all(not each["securityContext"]["allowPrivilegeEscalation"] for each in containers().values())
    assert "USER 10001" in (EXAMPLE / "Dockerfile").read_text()


def pods_of_their_own(site: Site) -> None:
    assert site.system[WORKER][0].running
    assert site.system[SENDER][0].running
    assert containers()[SENDER]["command"] == ["python", "/data/run_tasks.py"]


def idiom(site: Site) -> None:
    text = (EXAMPLE / "celery_conf.py").read_text()
    assert 'app = Penstock(\n    "tasks",\n    broker=' in text
    assert "@app.task(" in text
    assert site.ends(site.add(2, 3)) == 5


def broker_host(site: Site) -> None:
    address = site.system.names["rabbitmq-service"]
    assert {site.variables(name)["RABBITMQ_SERVICE_SERVICE_HOST"] for name in (WORKER, SENDER, DASHBOARD)} == {address}
    assert all("RABBITMQ_SERVICE" not in str(each.get("env")) for each in containers().values()), "Kubernetes sets it"


def broker(site: Site) -> None:
    assert '"amqp://guest:{broker_password}@{broker_service_host}//"' in (EXAMPLE / "celery_conf.py").read_text()
    assert all(secret not in str(MANIFESTS) for secret in SECRETS.values())
    assert site.variables(WORKER)["RABBITMQ_PASSWORD"] == "rabbits"


def backend(site: Site) -> None:
    assert site.variables(WORKER)["POSTGRES_SERVICE_HOST"] == site.system.names["postgres"]
    task_id = site.add(20, 22)
    assert site.ends(task_id) == 42


def sender(site: Site) -> None:
    text = (EXAMPLE / "run_tasks.py").read_text()
    assert "EVERY = 5 " in text
    before = len(re.findall(r"^add\(\d+, \d+\) is ", site.system[SENDER][0].printed(), re.MULTILINE))

    def more() -> bool:
        return len(re.findall(r"^add\(\d+, \d+\) is ", site.system[SENDER][0].printed(), re.MULTILINE)) >= before + 2

    began = time.monotonic()
    eventually(more)
    assert time.monotonic() - began > 4


def dashboard(site: Site) -> None:
    assert site.system.url(DASHBOARD).endswith(":5555")
    assert objects("Service")["flower"]["spec"]["ports"] == [{"port": 5555, "targetPort": "http"}]


def flower(site: Site) -> None:
    expected = "penstock api /data/celery_conf.py --host 0.0.0.0 --port 5555"
    assert " ".join(containers()[DASHBOARD]["command"]) == expected
    assert site.client.get("/health/ready").status_code == 200
    assert httpx.get(f"{site.system.url(DASHBOARD)}/tasks", timeout=30).status_code == 401


def growing(site: Site) -> None:
    assert site.client.get("/ui/tasks", follow_redirects=True).status_code == 200
    found = site.client.get("/tasks?task=celery_conf.add").json()["items"]
    assert {each["task"] for each in found} == {"celery_conf.add"}
    newest = site.tasks(limit="1")[0]["task_id"]
    eventually(lambda: site.tasks(limit="1")[0]["task_id"] != newest)


def applied(site: Site) -> None:
    assert "kubectl apply -f manifests\n" in (EXAMPLE / "README.md").read_text()
    assert all(file.suffix == ".yaml" for file in (EXAMPLE / "manifests").iterdir())
    assert {each.name for each in (EXAMPLE / "manifests").iterdir()} > {
        "rabbitmq-service.yaml", "rabbitmq-controller.yaml", "celery-controller.yaml", "flower-controller.yaml",
    }  # fmt: skip


def listed(site: Site) -> None:
    running = {name for name in site.system.units if all(instance.running for instance in site.system[name])}
    assert running == {WORKER, DASHBOARD, RABBITMQ, SENDER, "postgres"} == pods().keys()


def anywhere(site: Site) -> None:
    assert not any({"nodeName", "nodeSelector", "affinity", "tolerations"} & pod.keys() for pod in pods().values())


def versions(site: Site) -> None:
    assert {each["apiVersion"] for each in MANIFESTS} == {"v1", "apps/v1", "policy/v1"}
    assert not any({"id", "desiredState"} & each.keys() for each in MANIFESTS)


def probes(site: Site) -> None:
    for name, container in containers().items():
        if name != SENDER:  # it answers to nothing: it ends when it fails
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
    check = site.system.units[WORKER].ready
    assert check is not None
    eventually(lambda: all(instance.answers(check) for instance in site.system[WORKER]))


def drained(site: Site) -> None:
    """The one that goes is told by its preStop to finish, and nothing of it is left."""
    assert objects("PodDisruptionBudget")["celery"]["spec"]["maxUnavailable"] == 1
    leaving = site.system[WORKER][1]
    ids = {site.add(number, number): 2 * number for number in range(40)}
    site.system.scale(WORKER, 1)
    assert leaving.farewell is not None
    assert (leaving.farewell.returncode, leaving.farewell.stderr) == (0, "")
    assert re.fullmatch(rf"{leaving.unit.name}-1(@\S+)? has finished\n", leaving.farewell.stdout)
    assert not leaving.running
    assert {task_id: site.ends(task_id) for task_id in ids} == ids
    site.system.scale(WORKER, 2)


CHECKS: Checks = {
    "`rabbitmq-service.json`": service,
    "selector": selector,
    "`rabbitmq-controller.json`": rabbitmq,
    "`celery-controller.json`": worker,
    "`hostPort`": ports,
    "`cpu: 100`": resources,
    "`FROM dockerfile/celery`": image,
    "`C_FORCE_ROOT 1`": root,
    "`CMD [": pods_of_their_own,
    "`celery_conf.py`": idiom,
    "`RABBITMQ_SERVICE_SERVICE_HOST`": broker_host,
    "broker `amqp": broker,
    "backend `amqp`": backend,
    "`run_tasks.py`": sender,
    "`flower-controller`": dashboard,
    "`flower --broker": flower,
    "the tab": growing,
    "`kubectl create": applied,
    "`kubectl get pods`": listed,
    "`NUM_MINIONS`": anywhere,
    "`apiVersion`": versions,
    "pods that are not asked": probes,
    "a pod that goes": drained,
}


@pytest.mark.parametrize("row", rows(EXAMPLE / "README.md"))
def test_every_row_of_then_and_now_is_so(site: Site, row: str) -> None:
    CHECKS[check_of(row, CHECKS)](site)


def test_every_check_has_a_row() -> None:
    assert sorted(check_of(row, CHECKS) for row in rows(EXAMPLE / "README.md")) == sorted(CHECKS)
