"""What it costs to be looked at: the drain of one process with somebody watching, in per cent of that with nobody.

There is no tracing to measure: Penstock has none yet.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from bench.contender import PATIENCE, Contender, Load
from bench.measurement import Figure, Measurement
from bench.outside import drain
from bench.scale import scaled
from tests.processes import eventually, free_port, listens

EVERY = 0.2  #: seconds between two looks at the metrics

#: has somebody watch the work in a folder; gives what is added to the worker's command
Watch = Callable[[Contender, Path], AbstractContextManager[list[str]]]


@contextmanager
def _nobody(_contender: Contender, _folder: Path) -> Iterator[list[str]]:
    yield []


@contextmanager
def _metrics(_contender: Contender, _folder: Path) -> Iterator[list[str]]:
    """A scraper of the worker's /metrics."""
    port, enough, scraped = free_port(), threading.Event(), threading.Event()

    def scrape() -> None:
        while not enough.wait(EVERY):
            with contextlib.suppress(OSError):  # the worker is starting or being killed
                urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read()
                scraped.set()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield ["--health-port", str(port), "--health-host", "127.0.0.1"]
    finally:
        enough.set()
        thread.join()
    if not scraped.is_set():
        raise RuntimeError("the metrics were never read")


@contextmanager
def _events(contender: Contender, folder: Path) -> Iterator[list[str]]:
    """A listener to all events, on an API process of its own."""
    port, got = free_port(), bytearray()
    server = contender.launch(folder, contender.server(port, 1))
    try:
        eventually(lambda: listens(port), within=PATIENCE, what="the server")
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET /events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n")
            thread = threading.Thread(target=_read, args=(connection, got))
            thread.start()
            yield []
            connection.shutdown(socket.SHUT_RDWR)
            thread.join()
    finally:
        server.clean()
    if b"SUCCESS" not in got:
        raise RuntimeError(f"no event was told: {bytes(got[:300])!r}")


def _read(connection: socket.socket, got: bytearray) -> None:
    with contextlib.suppress(OSError):  # shut down under the reader
        while part := connection.recv(65_536):
            got += part


def _watched(watch: Watch, contender: Contender, folder: Path) -> Sequence[float]:
    alone = _rate(_nobody, contender, folder / "alone")
    return [100 * _rate(watch, contender, folder / "watched") / alone]


def _rate(watch: Watch, contender: Contender, folder: Path) -> float:
    folder.mkdir()
    count = scaled(contender.backlog, 5_000)
    try:
        contender.call(folder, "fill", task="add", args=[1, 2], count=count)
        with watch(contender, folder) as options:
            return drain(contender, folder, Load(options=tuple(options)), count).rate
    finally:
        contender.forget(folder)


def _measurement(name: str, title: str, watch: Watch) -> Measurement:
    figure = Figure(f"watch-{name}", f"drain, one process, {title}", "% of that without")
    return Measurement(f"watch-{name}", "watch", (figure,), partial(_watched, watch), 12, 1)


WATCHING = (
    _measurement("metrics", "/metrics scraped five times a second", _metrics),
    _measurement("events", "one listener to all events", _events),
)
