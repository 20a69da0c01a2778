"""Redis, the API and three workers on hosts of their own, one of which is cut off for longer than its lease."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from penstock.core.states import SUCCESS
from tests.hosts import Host, Network, RedisAt, refused
from tests.integration.field import Field, Worker
from tests.processes import PENSTOCK, Launched, eventually

PORT = "8000"
_POST = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), {"content-type": "application/json"})
sys.stdout.write(urllib.request.urlopen(request, timeout=20).read().decode())
"""


class Plant:
    """The hosts and what runs on them. `field` looks at the store past the network."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        network = opened.enter_context(Network())
        self.store, self.front, self.users = network.host(), network.host(), network.host()
        server = opened.enter_context(RedisAt(self.store))
        self.field = Field(folder, server.direct, lease=2.0, lease_renewal=0.5)
        self.env = {**self.field.env, "PENSTOCK_BROKER_URL": f"{server.url}?socket_timeout=1&socket_connect_timeout=1"}
        self.opened = opened
        command = ("api", "worker_app.py", "--host", self.front.address, "--port", PORT, "--insecure")
        self.api = self.launch(self.front, *command)
        self.hosts = [network.host() for _ in range(3)]
        self.workers = [self.worker(host) for host in self.hosts]
        for each in self.workers:
            each.process.prints("ready:")
        self.api.prints("API on")

    def worker(self, host: Host) -> Worker:
        return Worker(self.field, self.launch(host, "worker", "worker_app.py", "--processes", "1", "--threads", "8"))

    def launch(self, host: Host, *command: str) -> Launched:
        process = Launched(host.command(PENSTOCK, *command), self.field.folder, self.env)
        self.opened.callback(process.clean)
        return process

    def submit(self, task: str, *args: object, count: int = 1) -> list[str]:
        """Over HTTP, from the users' host; the ids."""
        body = json.dumps([{"task": task, "args": args}] * count)
        url = f"http://{self.front.address}:{PORT}/tasks"
        answer = json.loads(self.users.do(sys.executable, "-c", _POST, url, body))
        return [item["task_id"] for item in answer["items"]]


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    if why := refused():
        pytest.skip(why)  # said in the summary of the run
    with ExitStack() as opened:
        yield Plant(tmp_path, opened)


@pytest.mark.alone
def test_a_worker_that_is_cut_off_loses_its_tasks_to_others_and_rejoins_by_itself(plant: Plant) -> None:
    field = plant.field
    flag = field.folder / "flag"
    task_ids = plant.submit("stay", str(flag), count=6)
    first = {task_id: field.begun(task_id) for task_id in task_ids}
    place = next(number for number, each in enumerate(plant.workers) if first[task_ids[0]] in each.children)
    lonely, host = plant.workers[place], plant.hosts[place]
    [child] = lonely.children
    held = [task_id for task_id, pid in first.items() if pid == child]

    host.pull()
    others = {pid for each in plant.workers if each is not lonely for pid in each.children}
    for task_id in held:
        assert field.begun(task_id, times=2) in others
    flag.touch()
    found = field.ended(*task_ids)
    eventually(lambda: all(field.pids(task_id, "end").count(child) == 1 for task_id in held), what="late endings")
    host.plug()
    lonely.process.prints("rejoined under a new lease")

    assert {record.state for record in found} == {SUCCESS}
    for task_id in task_ids:
        assert len(field.pids(task_id)) == (2 if task_id in held else 1)
    # It takes tasks again, in the same processes, and what it ended too late has changed nothing.
    eventually(lambda: child in {each.pid for each in field.ended(*plant.submit("rest", 0.2, count=8))})
    assert lonely.children == [child]
    records = field.records(held)
    assert {each.pid for each in records.values()} <= others
    assert {each.finished_at for each in records.values()} == {
        each.finished_at for each in found if each.task_id in records
    }
    assert field.depth() == 0
