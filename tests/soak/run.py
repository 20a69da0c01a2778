"""One broker under steady load: its servers, an API, a worker with the scheduler, the users; what is read meanwhile."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from typing import Self

from tests.chaos.ground import RECORDS, server_of
from tests.processes import PENSTOCK, Launched, eventually, free_port, listens
from tests.servers import Server
from tests.soak import readings
from tests.soak.bounds import EXPIRES, Course, Sample, judged
from tests.soak.load import DONE

PROCESSES = 2
#: seconds between two looks at processes, and at stores
OFTEN, SELDOM = 5.0, 30.0


class Soak:
    """Use it as a context manager: `watch`, then `verdict`."""

    def __init__(self, broker: str, folder: Path, rate: int, app: str = "tests.soak.app:app") -> None:
        self.broker = broker
        self.folder = folder
        self.rate = rate
        self.app = app
        self.servers: dict[str, Server] = {}
        self.urls: dict[str, str] = {}
        self.launched: dict[str, Launched] = {}
        self.samples: list[Sample] = []
        self.failures: list[str] = []
        self._open = contextlib.ExitStack()
        self.seconds = 0  #: of load that were done

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            broker, results = (
                self._place(opened, name) for name in (self.broker, RECORDS.get(self.broker, self.broker))
            )
            port = free_port()
            env = {
                "PENSTOCK_BROKER_URL": broker,
                "PENSTOCK_RESULT_BACKEND": results,
                "PENSTOCK_RESULT_EXPIRES": str(EXPIRES),
                "PYTHONPATH": str(Path(__file__).parents[2]),
            }
            self.ports = {"API": port, **{server.name: server.port for server in self.servers.values()}}
            worker = (PENSTOCK, "worker", self.app, "--processes", str(PROCESSES))
            self._launch(opened, "worker", env, *worker)
            self._launch(opened, "API", env, PENSTOCK, "api", self.app, "--port", str(port))
            eventually(lambda: listens(port), what="the API")
            self.launched["worker"].prints("ready:")
            users = (sys.executable, "-m", "tests.soak.load", "--port", str(port), "--rate", str(self.rate))
            self._launch(opened, "users", env, *users)
            self._open = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _place(self, opened: contextlib.ExitStack, name: str) -> str:
        """The URL of the broker, or of the result backend."""
        if name not in self.urls:
            if name == "sqlite":
                self.urls[name] = f"sqlite:///{self.folder}/soak.db"
            else:
                server = self.servers[name] = opened.enter_context(server_of(name))
                self.urls[name] = server.url if name == "rabbitmq" else server.fresh()
        return self.urls[name]

    def _launch(self, opened: contextlib.ExitStack, name: str, env: dict[str, str], *command: str) -> None:
        process = Launched(command, self.folder, env)
        opened.callback(process.clean)
        self.launched[name] = process

    def watch(self, seconds: float) -> None:
        """Take samples for so long; what is wrong besides what grew stands in `failures`."""
        begun = time.monotonic()
        looked = -SELDOM
        before = self._pids()
        while (now := time.monotonic() - begun) < seconds:
            stores = now - looked >= SELDOM
            looked = now if stores else looked
            self.samples.append(Sample(now, self.reading(stores=stores)))
            time.sleep(max(0.0, begun + now + OFTEN - time.monotonic()))
        self.samples.append(Sample(time.monotonic() - begun, self.reading(stores=True)))
        if (pids := self._pids()) != before:
            self.failures.append(f"processes were replaced: {before} became {pids}")
        lines = self.launched["users"].printed().splitlines()
        self.seconds = lines.count(DONE)
        if wrong := [line for line in lines if line != DONE]:
            self.failures.append(f"{len(wrong)} lines of errors, the first: {wrong[0]}")
        if self.seconds < seconds / 2:
            self.failures.append(f"the load of {seconds:.0f} seconds was done in {self.seconds} of them")

    def _pids(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, process in self.launched.items():
            found.update(readings.family(name, process.pid))
        return found

    def reading(self, *, stores: bool) -> readings.Reading:
        """All that can be read at this moment."""
        found = readings.connections(self.ports)
        for name, pid in self._pids().items():
            found |= readings.process(name, pid)
        for name, server in self.servers.items():
            of_server = [readings.process(f"server {name}", pid) for _, pid in readings.family(name, server.pid)]
            found[f"memory server {name}"] = sum(each.get(f"memory server {name}", 0.0) for each in of_server)
        for name, url in self.urls.items() if stores else ():
            found |= readings.store(self.servers.get(name), url)
        return found

    def verdict(self, warm_up: float) -> list[Course]:
        """Every reading's course, the faulty ones first; `failures` says what else went wrong."""
        return sorted(judged(self.samples, self.rate, warm_up), key=lambda course: (not course.fault, course.name))
