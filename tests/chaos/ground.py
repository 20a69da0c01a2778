"""The ground of one chaos run: servers behind proxies, two workers and an API, and everything that can break there."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from penstock.client import backends
from penstock.client.app import Penstock
from tests import servers
from tests.chaos.ledger import Ledger
from tests.cluster import Cluster
from tests.processes import PENSTOCK, Launched, children, eventually, free_port, listens
from tests.proxy import Proxy
from tests.servers import Server

WORKERS, PROCESSES = 2, 2
#: tasks that one child may hold at a time: a batch that runs or is being recorded, and the next one
HELD = 200
#: three nodes of RabbitMQ, of which one at a time is lost
CLUSTER = "cluster"
#: what keeps the records of a broker that cannot
RECORDS = {"rabbitmq": "redis", CLUSTER: "redis"}
SCHEMES = {"sqlite": "sqlite", "redis": "redis", "rabbitmq": "amqp", "postgres": "postgresql"}


def brokers() -> list[str]:
    """Those that this version has."""
    return [name for name, scheme in SCHEMES.items() if not backends.unserved(f"{scheme}://x/y")]


def server_of(name: str) -> Server:
    """A server that is not started yet, of which a kill loses nothing that it confirmed."""
    match name:
        case "redis":
            return servers.Redis(appendfsync="always")
        case "rabbitmq":
            return servers.RabbitMQ()
        case "postgres":
            return servers.Postgres()
    raise AssertionError(name)


@dataclass(frozen=True)
class Fault:
    """Something that breaks: `children` are the processes whose tasks may run again for it."""

    name: str
    do: Callable[[], None]
    children: int


class Ground:
    """Servers, workers, API. Use it as a context manager."""

    def __init__(self, broker: str, folder: Path, seed: int, settings: dict[str, str]) -> None:
        self.broker = broker
        self.folder = folder
        self.random = random.Random(seed)
        self.settings = settings
        self.ledger = Ledger(folder)
        self.servers: dict[str, Server | Cluster] = {}
        self.proxies: list[Proxy] = []
        self.workers: list[Launched] = []
        self.port = free_port()
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            direct, through = self._urls(opened)
            self.app = Penstock("chaos", broker=direct["broker"], result_backend=direct["result_backend"])
            opened.callback(self.app.close)
            env = {
                "PENSTOCK_BROKER_URL": through["broker"],
                "PENSTOCK_RESULT_BACKEND": through["result_backend"],
                "CHAOS_LEDGER": str(self.ledger.path),
                "PYTHONPATH": os.pathsep.join(str(Path(__file__).parents[2] / part) for part in ("", "src")),
                **{f"PENSTOCK_{name.upper()}": value for name, value in self.settings.items()},
            }
            self.api = self._launch(opened, env, "api", "tests.chaos.app:app", "--port", str(self.port))
            for number in range(WORKERS):
                self.workers.append(
                    self._launch(
                        opened, env, "worker", "tests.chaos.app:app", "--processes", str(PROCESSES),
                        "--name", f"chaos-{number}",
                    )
                )  # fmt: skip
            for worker in self.workers:
                worker.prints("ready:")
            eventually(lambda: listens(self.port), what="the API")
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _urls(self, opened: contextlib.ExitStack) -> tuple[dict[str, str], dict[str, str]]:
        """The URLs for the producer here, and for the processes, which go through proxies."""
        if self.broker == "sqlite":
            url = f"sqlite:///{self.folder}/chaos.db"
            both = {"broker": url, "result_backend": url}
            return both, both
        direct, through = {}, {}
        places: dict[str, tuple[str, str]] = {}
        for part, name in (("broker", self.broker), ("result_backend", RECORDS.get(self.broker, self.broker))):
            if name not in self.servers:
                places[name] = self._place(opened, name)
            direct[part], through[part] = places[name]
        return direct, through

    def _place(self, opened: contextlib.ExitStack, name: str) -> tuple[str, str]:
        """The URL of a new server, straight and through a proxy; of a cluster both are those of its nodes."""
        if name == CLUSTER:
            cluster = self.servers[name] = opened.enter_context(Cluster())
            return cluster.url, cluster.url
        server = self.servers[name] = opened.enter_context(server_of(name))
        url = server.fresh()
        self.proxies.append(opened.enter_context(Proxy(url)))
        return url, self.proxies[-1].url

    def _launch(self, opened: contextlib.ExitStack, env: dict[str, str], *command: str) -> Launched:
        process = Launched([PENSTOCK, *command], self.folder, env)
        opened.callback(process.clean)
        return process

    # ---------------------------------------------------------------------------------------------------------- faults

    def faults(self) -> list[Fault]:
        """What can happen here. To a cluster, one node after the other, so that all have been lost."""
        everybody = WORKERS * PROCESSES
        if self.broker == CLUSTER:
            return [Fault("a node is killed", _bound(self.restart, self.servers[CLUSTER]), everybody)]
        found = [
            Fault("a child is killed", self.kill_child, 1),
            Fault("a keeper is killed", self.kill_keeper, 0),
            Fault("a supervisor is killed", self.kill_supervisor, PROCESSES),
            Fault("a whole worker is killed", self.kill_worker, PROCESSES),
            Fault("a worker stands still longer than its lease", self.freeze_worker, PROCESSES),
            Fault("the API is killed", self.kill_api, 0),
        ]
        for name, server in self.servers.items():
            found.append(Fault(f"{name} is killed", _bound(self.restart, server), everybody))
        for proxy in self.proxies:
            found += [
                Fault("connections are cut", proxy.cut, everybody),
                Fault("connections are slow", _bound(self.slow, proxy), everybody),
                Fault("connections are half open", _bound(self.half_open, proxy), everybody),
            ]
        if self.broker == "sqlite":
            found.append(Fault("the disk is full", self.fill, everybody))
        return found

    def kill_child(self) -> None:
        worker = self.random.choice(self.workers)
        self._kill(self.random.choice(self._children(worker) or [0]))

    def kill_keeper(self) -> None:
        pids = children(self.random.choice(self.workers).pid)
        self._kill(min(pids, default=0))  # the first that was forked, unless numbers began anew: then a child

    def kill_supervisor(self) -> None:
        worker = self.random.choice(self.workers)
        family = children(worker.pid)
        self._kill(worker.pid)
        worker.process.wait()
        eventually(lambda: not any(_runs(pid) for pid in family), within=60, what="orphans to end")
        worker.restart()

    def kill_worker(self) -> None:
        worker = self.random.choice(self.workers)
        worker.kill_tree()
        worker.restart()

    def freeze_worker(self) -> None:
        worker = self.random.choice(self.workers)
        pids = [worker.pid, *children(worker.pid)]
        for pid in pids:
            self._signal(pid, signal.SIGSTOP)
        time.sleep(float(self.settings["lease"]) * 1.5)
        for pid in pids:
            self._signal(pid, signal.SIGCONT)

    def kill_api(self) -> None:
        self.api.kill_tree()
        self.api.restart()

    def restart(self, server: Server | Cluster) -> None:
        server.kill()
        time.sleep(self.random.uniform(0, 2))
        server.start()

    def slow(self, proxy: Proxy) -> None:
        proxy.delay(0.05)
        time.sleep(2)
        proxy.heal()

    def half_open(self, proxy: Proxy) -> None:
        proxy.half_open()
        time.sleep(3)
        proxy.heal()
        proxy.cut()

    def fill(self) -> None:
        """No process of the product may let a file grow: what a full disk and a used-up quota do."""
        pids = [pid for each in (*self.workers, self.api) for pid in (each.pid, *children(each.pid))]
        for pid in pids:
            self._limit(pid, 4096)
        time.sleep(2)
        for pid in {pid for each in (*self.workers, self.api) for pid in (each.pid, *children(each.pid))} | set(pids):
            self._limit(pid, resource.RLIM_INFINITY)

    def heal(self) -> None:
        """Everything runs again."""
        for proxy in self.proxies:
            proxy.heal()
        for each in (*self.workers, self.api):
            if each.process.poll() is not None:
                each.restart()

    def _children(self, worker: Launched) -> list[int]:
        pids = sorted(children(worker.pid))
        return pids[1:]

    @staticmethod
    def _kill(pid: int) -> None:
        if pid:
            Ground._signal(pid, signal.SIGKILL)

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    @staticmethod
    def _limit(pid: int, size: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (min(size, hard) if hard >= 0 else size, hard))

    def logs(self) -> Iterator[str]:
        for each in (*self.workers, self.api):
            yield from each.printed().splitlines()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _bound(method: Callable[[Any], None], what: Any) -> Callable[[], None]:
    return lambda: method(what)
