"""The work queue: its scripts with a docker and a Marathon that keep what they are told, its workers on RabbitMQ."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import servers
from tests.acceptance.tables import check_of, rows
from tests.processes import PENSTOCK, Launched, clean_environment, eventually, tree
from tests.running.files import read
from tests.running.system import System

EXAMPLE = Path(__file__).parents[2] / "examples" / "work_queue"
BROKER, WORKER, PROGRAMS = EXAMPLE / "components/broker", EXAMPLE / "components/worker", EXAMPLE / "programs"
SCRIPTS = WORKER / "scripts"

#: a `docker` that writes down what it is told, and runs a container's shell command with this folder's scripts and /tmp
DOCKER = """#!{python}
import json, os, sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    print(json.dumps([os.getcwd(), *words]), file=log)
if "-c" in words:
    command = words[words.index("-c") + 1].replace("/usr/local/bin/", {scripts!r} + "/")
    os.execvp("sh", ["sh", "-c", command.replace("process-message /tmp", "process-message " + {out!r})])
"""


class Place:
    """A broker, a folder that stands for /tmp, and a Marathon."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.out = folder / "out"
        self.out.mkdir()
        (folder / "bin").mkdir()
        docker = folder / "bin" / "docker"
        docker.write_text(
            DOCKER.format(python=sys.executable, log=f"{folder}/docker", scripts=str(SCRIPTS), out=str(self.out))
        )
        docker.chmod(0o755)
        self.apps: dict[str, Any] = {}
        path = f"{folder}/bin:{Path(PENSTOCK).parent}:{os.environ['PATH']}"
        self.env = {**clean_environment(), "PATH": path}

    def run(self, script: Path, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [script, *words], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def told(self) -> list[list[str]]:
        """What docker was told: the folder and the words."""
        return [json.loads(line) for line in (self.folder / "docker").read_text().splitlines()]

    def publish(self, *bodies: bytes) -> None:
        for body in bodies:
            command = [PENSTOCK, "publish", "-u", self.url, "-q", "queue"]
            subprocess.run(command, input=body, env=self.env, check=True, capture_output=True, timeout=60)

    @contextlib.contextmanager
    def running(self, *command: str) -> Iterator[Launched]:
        launched = Launched(command, self.folder, self.env)
        try:
            launched.prints("ready:")
            yield launched
        finally:
            launched.clean()

    def files(self, count: int) -> list[bytes]:
        """What process-message has written, once there are so many."""
        eventually(lambda: len(list(self.out.iterdir())) >= count, what=f"{count} files")
        eventually(lambda: all(path.stat().st_size for path in self.out.iterdir()), what="their bytes")
        return sorted(path.read_bytes() for path in self.out.iterdir())


@pytest.fixture
def place(tmp_path: Path, rabbitmq_server: servers.RabbitMQ) -> Iterator[Place]:
    place = Place(tmp_path, rabbitmq_server.fresh())
    host, _, rest = place.url.rpartition("@")[2].partition(":")
    port, _, vhost = rest.partition("/")
    place.env["BROKER_VHOST"] = vhost

    class Marathon(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            place.apps[self.path.removeprefix("/v2/apps/")] = json.loads(body)
            self.answer({"version": "1", "deploymentId": "2"})

        def do_GET(self) -> None:
            tasks = [{"host": host, "ports": [int(port), 15672]}] if self.path == "/v2/apps/broker/tasks" else []
            self.answer({"tasks": tasks})

        def answer(self, value: Any) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(value).encode())

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Marathon) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        place.env["MARATHON_URL"] = f"http://127.0.0.1:{server.server_port}"
        try:
            yield place
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("component", [BROKER, WORKER], ids=["broker", "worker"])
def test_the_dockerfiles_pass_hadolint(component: Path) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, component / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("component", [BROKER, WORKER], ids=["broker", "worker"])
def test_each_script_says_how_it_is_used(place: Place, component: Path) -> None:
    said = place.run(component / "build", "-h").splitlines()
    assert said == [
        "Build and tag a Docker image.",
        "Usage: ./build -t tag",
        "    tag : Docker image tag",
    ]
    for name in ("run-local", "deploy"):
        said = place.run(component / name, "-h").splitlines()
        options = "-t tag [-b broker]" if component is BROKER else "-t tag -q queue [-u amqp | -b broker]"
        assert said[1] == f"Usage: ./{name} {options}"
    for name in ("build", "run-local", "deploy"):
        assert "Usage:" in place.run(component / name, code=2)
        assert "Usage:" in place.run(component / name, "-z", code=2)
    if component is WORKER:
        assert "Usage:" in place.run(WORKER / "deploy", "-t", "x", "-q", "q", "-u", "amqp://x", "-b", "y", code=2)


def test_images_are_built_in_their_folders(place: Place) -> None:
    place.run(BROKER / "build", "-t", "broker:v1")
    place.run(WORKER / "build", "-t", "worker:v1")
    assert place.told() == [
        [str(BROKER), "build", "-t", "broker:v1", "."],
        [str(WORKER), "build", "-t", "worker:v1", "."],
    ]
    assert "FROM rabbitmq:" in (BROKER / "Dockerfile").read_text()
    assert "apt-get -y install amqp-tools curl" in (WORKER / "Dockerfile").read_text()
    assert "COPY scripts/ /usr/local/bin/" in (WORKER / "Dockerfile").read_text()


def test_the_broker_runs_here_and_is_deployed(place: Place) -> None:
    place.run(BROKER / "run-local", "-t", "broker:v1")
    [words] = place.told()
    assert words[1:] == ["run", "-i", "--rm", "--name", "broker", "-p", "5672:5672", "-p", "15672:15672", "broker:v1"]
    place.run(BROKER / "deploy", "-t", "reg.example/a&b|c:v1")
    app = place.apps["broker"]
    assert (app["id"], app["instances"]) == ("/broker", 1)
    assert app["container"]["docker"]["image"] == "reg.example/a&b|c:v1"
    assert [each["containerPort"] for each in app["container"]["docker"]["portMappings"]] == [5672, 15672]


def test_a_worker_runs_here_by_url_and_by_name(place: Place) -> None:
    bodies = [b"one", bytes(range(1, 256)), b"three\n"]
    place.publish(*bodies)
    with place.running(str(WORKER / "run-local"), "-t", "worker:v1", "-q", "queue", "-u", place.url):
        assert place.files(3) == sorted(bodies)
    assert len({path.name for path in place.out.iterdir()}) == 3
    [words] = place.told()
    assert words[1:9] == ["run", "-i", "--rm", "--network", "host", "-e", "MARATHON_URL", "-v"]
    assert words[9:13] == ["/tmp:/tmp", "worker:v1", "bash", "-c"]  # noqa: S108
    assert words[13] == f"/usr/local/bin/cluster-worker -u {place.url} -q queue /usr/local/bin/process-message /tmp"
    place.publish(b"four")
    with place.running(str(WORKER / "run-local"), "-t", "worker:v1", "-b", "broker", "-q", "queue"):
        assert b"four" in place.files(4)
    assert "-b broker -q queue" in place.told()[-1][-1]


def test_without_a_url_the_broker_is_on_localhost(place: Place) -> None:
    shutil.copy("/bin/echo", place.folder / "bin" / "penstock")
    said = place.run(WORKER / "run-local", "-t", "worker:v1", "-q", "queue")
    assert said.startswith("consume -u amqp://localhost -q queue ")


def test_a_worker_is_deployed_and_its_command_does_the_work(place: Place) -> None:
    place.run(WORKER / "deploy", "-t", "worker:v1", "-b", "broker", "-q", "queue")
    app = place.apps["worker"]
    command = "/usr/local/bin/cluster-worker -b broker -q queue /usr/local/bin/process-message /tmp"
    assert (app["id"], app["instances"], app["cmd"]) == ("/worker", 1, command)
    assert app["container"]["docker"]["image"] == "worker:v1"
    assert app["env"] == {"MARATHON_URL": place.env["MARATHON_URL"]}
    place.publish(b"on the cluster")
    here = command.replace("process-message /tmp", f"process-message {place.out}")
    here = here.replace("/usr/local/bin/", f"{SCRIPTS}/")
    with place.running("sh", "-c", here):
        assert place.files(1) == [b"on the cluster"]
    place.run(WORKER / "deploy", "-t", "worker:v1", "-u", "amqp://me:p&w@elsewhere/v", "-q", "other")
    assert "cluster-worker -u amqp://me:p&w@elsewhere/v -q other /usr" in place.apps["worker"]["cmd"]


def test_three_languages_work_on_one_queue(place: Place) -> None:
    """A message that one of them leaves is for the others; Node is named where it is missing."""
    binary = place.folder / "count-words"
    subprocess.run(
        [shutil.which("cc") or "cc", "-O2", "-Wall", "-Werror", "-o", binary, PROGRAMS / "count-words.c"],
        check=True,
        timeout=60,
    )
    node = shutil.which("node") or shutil.which("nodejs")
    programs = {"sh": PROGRAMS / "count-words.sh", "c": binary}
    if node is None:
        warnings.warn("node is not installed: apt-get install nodejs", stacklevel=1)
    else:
        programs["js"] = PROGRAMS / "count-words.js"
    bodies = [b"x " * number for number in range(1, 13)]
    place.publish(*bodies)
    for language, program in programs.items():
        before = len(counts(place))
        command = [PENSTOCK, "consume", "-u", place.url, "-q", "queue", "-c", "2", "--log-level", "error"]
        done = subprocess.run(
            [*command, program, place.out], env=place.env, capture_output=True, timeout=100, check=False
        )
        assert (done.returncode, done.stderr) == (0, b""), language
        assert [each.split()[0] for each in counts(place)[before:]] == [language] * 2
    command = [PENSTOCK, "consume", "-u", place.url, "-q", "queue", "--log-level", "error"]
    consumers = [
        Launched([*command, str(program), str(place.out)], place.folder, place.env) for program in programs.values()
    ]
    try:
        eventually(lambda: len(counts(place)) == 12, what="all counts")
    finally:
        for each in consumers:
            each.stop()
    assert sorted(int(each.split()[1]) for each in counts(place)) == list(range(1, 13))


def counts(place: Place) -> list[str]:
    file = place.out / "counts"
    return file.read_text().splitlines() if file.exists() else []


#: rows of the README's table → the tests above that hold them
ROWS = {
    "`components/broker`": test_images_are_built_in_their_folders,
    "`components/worker`": test_images_are_built_in_their_folders,
    "`./build -t tag`": test_images_are_built_in_their_folders,
    "`./build -h`": test_each_script_says_how_it_is_used,
    "`./run-local -t broker:v1`": test_the_broker_runs_here_and_is_deployed,
    "`./deploy -t broker:v1`": test_the_broker_runs_here_and_is_deployed,
    "`./run-local -t worker:v1 -q queue`": test_without_a_url_the_broker_is_on_localhost,
    "`./run-local -u`": test_a_worker_runs_here_by_url_and_by_name,
    "`./run-local -t worker:v1 -b broker -q queue`": test_a_worker_runs_here_by_url_and_by_name,
    "`./deploy -t worker:v1 -b broker -q queue`": test_a_worker_is_deployed_and_its_command_does_the_work,
    "`/usr/local/bin/cluster-worker -b {{BROKER}}": test_a_worker_is_deployed_and_its_command_does_the_work,
    "`docker run -i -t": test_a_worker_runs_here_by_url_and_by_name,
    "`scripts/process-message`": test_a_worker_runs_here_by_url_and_by_name,
    "`RUN apt-get -y install amqp-tools curl`": test_images_are_built_in_their_folders,
    "body on STDIN": test_three_languages_work_on_one_queue,
}


def test_every_row_of_the_readme_has_its_test_and_app_json_the_documents_command() -> None:
    assert sorted(check_of(row, ROWS) for row in rows(EXAMPLE / "README.md")) == sorted(ROWS)
    text = (WORKER / "app.json").read_text()
    assert (
        '"cmd": "/usr/local/bin/cluster-worker -b {{BROKER}} -q {{QUEUE}} /usr/local/bin/process-message /tmp"' in text
    )
    assert set(re.findall(r"\{\{(\w+)\}\}", text)) == {"BROKER", "QUEUE", "TAG", "MARATHON_URL"}


def test_compose_starts_a_broker_and_workers_that_share_the_messages(tmp_path: Path) -> None:
    """Four workers, one of them killed and started again: each message is in a file, in whatever order."""
    document = (EXAMPLE / "compose.yaml").read_text()
    shutil.copytree(EXAMPLE / "components", tmp_path / "components")
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "compose.yaml").write_text(document.replace('volumes: ["/tmp:', f'volumes: ["{out}:'))
    with System(read(tmp_path / "compose.yaml", {}, tmp_path / "volumes")) as system:
        system.scale("worker", 4)
        _all_ready(system)  # then the queue is declared, and what is published has somewhere to go
        url = system.url("broker", 5672).replace("http://", "amqp://guest:guest@")
        for number in range(20):
            if number == 10:
                system["worker"][0].kill()
            subprocess.run(["amqp-publish", "-u", url, "-r", "queue", "-b", f"work {number}"], check=True)  # noqa: S607

        def written() -> set[str]:
            return {path.read_text() for path in out.glob("message.*")}

        wanted = {f"work {number}" for number in range(20)}  # whoever was killed may have left half a file, too
        eventually(lambda: written() >= wanted, what="every message in a file")


def _all_ready(system: System) -> None:
    """Every worker says so; one that does not tells where its processes stand."""
    try:
        eventually(lambda: all("ready:" in worker.printed() for worker in system["worker"]), what="four workers")
    except AssertionError as error:
        for pid in (each for worker in system["worker"] for each in tree(worker.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGUSR1)  # all stacks, into its log
        starts = [worker.starts for worker in system["worker"]]
        error.add_note(f"starts: {starts}\n{system.printed()}")
        raise
