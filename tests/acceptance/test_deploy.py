"""`penstock deploy`: what it writes is read by the tools and schemas of its targets, and holds no secret."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hcl2
import jsonschema_rs
import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from penstock.cli.drain import SLACK
from penstock.deploy.services import STOP_MARGIN
from tests.acceptance.commands import CommandLine
from tests.raml import Library

SCHEMAS = Path(__file__).parents[1] / "schemas"
TARGETS = ("compose", "kubernetes", "marathon", "nomad", "systemd")
#: every pair of broker and result backend that a cluster may have
PAIRS = tuple(itertools.product(("redis", "rabbitmq", "postgres"), ("redis", "postgres")))
FULL = (
    "-Q",
    "fast,slow",
    "--scale",
    "worker=5",
    "--scale",
    "api=3",
    "--domain",
    "shop.example.org",
    "--processes",
    "2",
)
SECRETS = {
    "PENSTOCK_BROKER_URL": "amqp://me:hunter2@example.org//",
    "PENSTOCK_RESULT_BACKEND": "redis://:hunter2@example.org/0",
    "PENSTOCK_API_KEYS": "hunter2-and-hunter2",
}


def pair(broker: str, backend: str) -> tuple[str, ...]:
    return ("--broker", broker, "--backend", backend, *FULL)


def document(shop: CommandLine, target: str, *options: str) -> str:
    return shop.ok("deploy", target, "app.py", *options).out


def manifests(text: str) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(text) if each]


@pytest.mark.parametrize(("broker", "backend"), [*PAIRS, ("sqlite", "sqlite"), ("rabbitmq", "sqlite")])
def test_compose_files_are_of_the_compose_specification(shop: CommandLine, broker: str, backend: str) -> None:
    read = yaml.safe_load(document(shop, "compose", *pair(broker, backend)))
    jsonschema_rs.validate(json.loads((SCHEMAS / "compose-spec.json").read_text()), read)
    expected = {"api", "worker"} | ({broker, backend} - {"sqlite"})
    assert set(read["services"]) == expected
    assert read["services"]["worker"]["deploy"]["replicas"] == 5
    assert read["services"]["worker"]["command"][:3] == ["penstock", "worker", "app.py"]
    if broker == "rabbitmq":
        assert read["services"]["rabbitmq"]["hostname"] == "rabbitmq", "a new container finds the old one's queues"


@pytest.mark.parametrize("version", ["1.33", "1.37"])
@pytest.mark.parametrize(("broker", "backend"), PAIRS)
def test_kubernetes_manifests_are_of_two_releases(shop: CommandLine, broker: str, backend: str, version: str) -> None:
    found = manifests(document(shop, "kubernetes", *pair(broker, backend)))
    for manifest in found:
        kubernetes_validate.validate(manifest, version, strict=True)
    deployments = {each["metadata"]["name"]: each["spec"] for each in found if each["kind"] == "Deployment"}
    assert deployments["shop-worker"]["replicas"] == 5
    assert deployments["shop-api"]["replicas"] == 3
    budgets = {each["metadata"]["name"] for each in found if each["kind"] == "PodDisruptionBudget"}
    assert budgets == {"shop-api", "shop-worker"}
    runs = [each["spec"]["template"]["spec"] for each in found if each["kind"] in ("Deployment", "StatefulSet")]
    assert len(runs) == 2 + len({broker, backend})
    for pod in runs:
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}
        assert container["resources"]["limits"].keys() == {"memory"}


def test_each_target_gives_a_worker_the_time_that_its_grace_needs(shop: CommandLine) -> None:
    """And Kubernetes, which can run something before SIGTERM, has it drained."""
    options = ("--broker", "redis")

    def pod(name: str, **environment: str) -> dict[str, Any]:
        found = manifests(shop.ok("deploy", "kubernetes", "app.py", *options, **environment).out)
        (run,) = (each for each in found if each["kind"] == "Deployment" and each["metadata"]["name"] == name)
        spec: dict[str, Any] = run["spec"]["template"]["spec"]
        return spec

    worker, api = pod("shop-worker"), pod("shop-api")
    (container,) = worker["containers"]
    assert container["lifecycle"]["preStop"]["exec"]["command"] == [
        "sh", "-c", 'exec penstock worker app.py --drain --grace 25 --name "$POD_NAME"',
    ]  # fmt: skip
    assert container["command"][-2:] == ["--name", "$(POD_NAME)"]
    assert container["env"][0] == {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    assert worker["terminationGracePeriodSeconds"] >= 25 + SLACK + STOP_MARGIN
    assert pod("shop-worker", PENSTOCK_GRACE="100")["terminationGracePeriodSeconds"] >= 100 + SLACK + STOP_MARGIN
    assert api["containers"][0]["lifecycle"]["preStop"] == {"exec": {"command": ["sleep", "3"]}}
    assert api["terminationGracePeriodSeconds"] == 33

    assert yaml.safe_load(document(shop, "compose", *options))["services"]["worker"]["stop_grace_period"] == "30s"
    apps = json.loads(document(shop, "marathon", *options))["apps"]
    assert [app["taskKillGracePeriodSeconds"] for app in apps if app["id"] == "/shop/worker"] == [30]
    (group,) = (
        each
        for each in hcl2.loads(document(shop, "nomad", *options))["job"][0]['"shop"']["group"]
        if '"worker"' in each
    )
    assert group['"worker"']["task"][0]['"worker"']["kill_timeout"] == '"30s"'
    assert "TimeoutStopSec=30\n" in document(shop, "systemd", *options).partition("shop-worker@.service")[2]


@pytest.mark.parametrize(("broker", "backend"), PAIRS)
def test_marathon_groups_are_of_marathons_types(shop: CommandLine, broker: str, backend: str) -> None:
    group = json.loads(document(shop, "marathon", *pair(broker, backend)))
    library = Library(SCHEMAS / "marathon" / "app.raml")
    assert [fault for app in group["apps"] for fault in library.faults("App", app, app["id"])] == []
    apps = {app["id"]: app for app in group["apps"]}
    assert apps["/shop/worker"]["instances"] == 5
    assert apps["/shop/api"]["labels"]["HAPROXY_0_VHOST"] == "shop.example.org"
    assert apps["/shop/worker"]["dependencies"] == [f"/shop/{name}" for name in dict.fromkeys((broker, backend))]


def test_the_check_of_marathons_types_finds_faults() -> None:
    library = Library(SCHEMAS / "marathon" / "app.raml")
    app = {
        "id": "/x",
        "instances": "two",
        "constraints": [["hostname"]],
        "nonsense": 1,
        "healthChecks": [{"protocol": "CARRIER_PIGEON"}],
    }
    faults = " ".join(library.faults("App", app, "x"))
    for part in ("x.instances", "x.constraints[0]", "x.nonsense", "CARRIER_PIGEON"):
        assert part in faults


@pytest.mark.parametrize(("broker", "backend"), PAIRS)
def test_nomad_jobs_are_hcl(shop: CommandLine, broker: str, backend: str) -> None:
    job = hcl2.loads(document(shop, "nomad", *pair(broker, backend)))
    text = json.dumps(job)
    for part in ("worker", "api", broker, backend, "nomadVar", "shop.example.org"):
        assert part in text


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
@pytest.mark.parametrize("broker", ["sqlite", "redis", "postgres"])
def test_systemd_units_pass_its_own_check(shop: CommandLine, tmp_path: Path, broker: str) -> None:
    folder = tmp_path / "units"
    shop.ok("deploy", "systemd", "app.py", "--broker", broker, *FULL, "-o", str(folder))
    units = sorted(path.name for path in folder.iterdir() if path.suffix in (".service", ".target"))
    assert units == ["shop-api.service", "shop-worker@.service", "shop.target"]
    for path in folder.iterdir():  # the program and its user are not on this machine
        path.write_text(
            path.read_text().replace("/opt/shop/.venv/bin/penstock", "/bin/true").replace("User=shop", "User=root")
        )
    verify = shutil.which("systemd-analyze")
    assert verify is not None, "systemd-analyze is missing: apt-get install systemd"
    done = subprocess.run(
        [
            verify,
            "verify",
            *(str(folder / name) for name in ("shop-api.service", "shop-worker@1.service", "shop.target")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in done.stderr.splitlines() if "shop" in line]
    assert (done.returncode, about_ours) == (0, [])


@pytest.mark.parametrize("target", ["compose", "kubernetes", "marathon", "nomad"])
def test_the_dockerfile_passes_hadolint(shop: CommandLine, tmp_path: Path, target: str) -> None:
    folder = tmp_path / "image"
    shop.ok("deploy", target, "app.py", "--broker", "redis", "-o", str(folder))
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, folder / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert "penstock[redis]" in (folder / "Dockerfile").read_text()
    assert "USER 10001" in (folder / "Dockerfile").read_text()


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_call_writes_the_same_text_and_no_secret(shop: CommandLine, target: str) -> None:
    # the app is looked at, never opened: its own broker may be anywhere
    options = ("--broker", "redis", *FULL)
    first, second = (shop.ok("deploy", target, "app.py", *options, **SECRETS).out for _ in range(2))
    assert first == second
    assert "hunter2" not in first


def test_a_folder_gets_all_that_belongs_to_it_and_is_not_written_over(shop: CommandLine, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shop.ok("deploy", "compose", "app.py", "--broker", "rabbitmq", "-o", str(folder))
    assert {path.name for path in folder.iterdir()} == {"compose.yaml", "Dockerfile", ".dockerignore", ".env.example"}
    assert (folder / ".env.example").read_text().splitlines()[1:] == [
        "PENSTOCK_API_KEYS=",
        "POSTGRES_PASSWORD=",
        "RABBITMQ_PASSWORD=",
    ]
    shop.ok("deploy", "compose", "app.py", "--broker", "rabbitmq", "-o", str(folder))  # the same once more is fine
    (folder / "compose.yaml").write_text("mine")
    refused = shop("deploy", "compose", "app.py", "--broker", "rabbitmq", "-o", str(folder))
    assert refused.code == 1
    assert "compose.yaml" in refused.err
    assert (folder / "compose.yaml").read_text() == "mine"
    shop.ok("deploy", "compose", "app.py", "--broker", "rabbitmq", "-o", str(folder), "--force")
    assert (folder / "compose.yaml").read_text() != "mine"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("kubernetes", "app.py", "--broker", "sqlite"), "a file of one machine"),
        (("marathon", "app.py", "--broker", "rabbitmq", "--backend", "sqlite"), "a file of one machine"),
        (("compose", "app.py", "--scale", "worker"), "write it like worker=5"),
        (("compose", "app.py", "--scale", "wroker=5"), "did you mean worker?"),
        (("compose", "app.py", "--scale", "db=2"), "api and worker can be scaled"),
        (("compose", "app.py", "--name", "Shöp"), "--name"),
        (("compose", "nowhere.py"), "there is no file"),
        (("swarm", "app.py"), "'swarm' is not one of"),
    ],
)
def test_what_cannot_be_written_is_told_in_a_line(shop: CommandLine, options: tuple[str, ...], told: str) -> None:
    outcome = shop("deploy", *options)
    assert outcome.code in (1, 2)
    assert outcome.out == ""
    assert told in outcome.err


def test_servers_elsewhere_are_named_by_secrets_alone(shop: CommandLine) -> None:
    read = yaml.safe_load(document(shop, "compose", "--external", "--broker", "rabbitmq", "--backend", "postgres"))
    assert set(read["services"]) == {"api", "worker"}
    assert read["services"]["worker"]["environment"] == {
        "PENSTOCK_BROKER_URL": "${PENSTOCK_BROKER_URL:?set it in .env}",
        "PENSTOCK_RESULT_BACKEND": "${PENSTOCK_RESULT_BACKEND:?set it in .env}",
    }
