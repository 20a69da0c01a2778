"""Requests a second over 32 connections: tasks posted, and finished tasks looked up."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import load
from bench.contender import PATIENCE, Contender, Load
from bench.measurement import Figure, Measurement
from bench.outside import worker
from bench.scale import SCALE
from tests.processes import eventually, free_port, listens

CONNECTIONS = 32
SECONDS = 3.0 if SCALE == 1 else 1.0
FINISHED = 100  #: tasks that are looked up in turn

_POST = load.request("POST", "/tasks", json.dumps({"task": "add", "args": [2, 3]}).encode())


@contextmanager
def _served(contender: Contender, folder: Path, processes: int) -> Iterator[int]:
    port = free_port()
    server = contender.launch(folder, contender.server(port, processes))
    try:
        eventually(lambda: listens(port), within=PATIENCE, what="the server")
        load.answers(port, [_POST])  # a port may be open before anybody is ready to answer there
        yield port
    finally:
        server.clean()


def _post(processes: int, contender: Contender, folder: Path) -> Sequence[float]:
    with _served(contender, folder, processes) as port:
        return [load.rate(port, itertools.repeat(_POST), 202, CONNECTIONS, SECONDS)]


def _get(processes: int, contender: Contender, folder: Path) -> Sequence[float]:
    with _served(contender, folder, processes) as port:
        with worker(contender, folder, Load()):
            ids = [json.loads(body)["task_id"] for body in load.answers(port, [_POST] * FINISHED)]
            eventually(
                lambda: contender.ended(folder) > FINISHED,
                within=PATIENCE,
                what="the tasks to look up, and the first one",
            )
        requests = itertools.cycle([load.request("GET", f"/tasks/{each}") for each in ids])
        return [load.rate(port, requests, 200, CONNECTIONS, SECONDS)]


HTTP = (
    Measurement("post-1", "http", (Figure("post-1", "HTTP POST, one process", "requests/s"),), partial(_post, 1), 6, 1),
    Measurement("post-2", "http", (Figure("post-2", "HTTP POST, two processes", "requests/s"),), partial(_post, 2), 6),
    Measurement("get-1", "http", (Figure("get-1", "HTTP GET, one process", "requests/s"),), partial(_get, 1), 6, 1),
    Measurement("get-2", "http", (Figure("get-2", "HTTP GET, two processes", "requests/s"),), partial(_get, 2), 6),
)
