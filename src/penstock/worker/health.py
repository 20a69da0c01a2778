"""The health port: /health/live, /health/ready and /metrics, for probes. No keys, no bodies, no keep-alive.

Live means that every child fetched lately, not that a process is there; ready, that broker and records can be written.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import time
from collections.abc import Callable

from penstock.client.backends import Backends
from penstock.core.errors import ConfigurationError, PenstockError
from penstock.worker.kin import Kin

log = logging.getLogger("penstock.worker.health")

STALE = 30.0  #: seconds since the last successful fetch after which a child counts as dead
ANSWER = 2.0  #: seconds that the servers have to answer
KEPT = 1.0  #: seconds that a verdict is used again
_REASONS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}

Reply = tuple[int, str, str]  # status, content type, body


class Health:
    """Answers probes for one worker."""

    def __init__(self, backends: Backends, kin: Kin, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.backends = backends
        self.kin = kin
        self.monotonic = monotonic
        self._ready: tuple[float, str] = (-1e9, "")  # when, and what was wrong

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen. Raises ConfigurationError if that cannot be, e.g. because the port is in use."""
        try:
            server = await asyncio.start_server(self._connected, host, port)
        except OSError as error:
            reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise ConfigurationError(f"--health-port {port}: cannot listen on {host}: {reason}") from None
        log.info("health port: %s:%d", *server.sockets[0].getsockname()[:2])
        return server

    def live(self) -> Reply:
        """503 if a child has not fetched for too long, or there is none."""
        now = self.monotonic()
        ages = {str(kid.pid): round(now - kid.seat.counters().fetched, 1) for kid in self.kin}
        well = bool(ages) and max(ages.values()) < STALE
        return _json(200 if well else 503, {"live": well, "seconds_since_fetch": ages})

    async def ready(self) -> Reply:
        """503 if broker or result backend do not answer."""
        at, fault = self._ready
        if self.monotonic() - at > KEPT:
            fault = await self._fault()
            self._ready = (self.monotonic(), fault)
        return _json(503 if fault else 200, {"ready": not fault, **({"fault": fault} if fault else {})})

    def metrics(self) -> Reply:
        """What the children count, for Prometheus."""
        status = self.kin.status()
        children = status["children"]
        lines = [
            "# TYPE penstock_worker_children gauge",
            f"penstock_worker_children {len(children)}",
            "# TYPE penstock_worker_processed counter",
            *(f'penstock_worker_processed_total{{pid="{child["pid"]}"}} {child["processed"]}' for child in children),
            "# TYPE penstock_worker_running gauge",
            *(f'penstock_worker_running{{pid="{child["pid"]}"}} {len(child["running"])}' for child in children),
            "# TYPE penstock_worker_resident_bytes gauge",
            *(f'penstock_worker_resident_bytes{{pid="{child["pid"]}"}} {child["resident"]}' for child in children),
        ]
        return 200, "text/plain; version=0.0.4; charset=utf-8", "\n".join(lines) + "\n"

    async def _fault(self) -> str:
        try:
            async with asyncio.timeout(ANSWER):
                await self.backends.broker.ping()
                await self.backends.results.ping()
        except TimeoutError:
            return f"no answer within {ANSWER:g} s"
        except PenstockError as error:
            return str(error)
        return ""

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(ANSWER * 3):
                head = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = await self._reply(head)
                raw = body.encode()
                writer.write(
                    f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: {kind}\r\ncontent-length: {len(raw)}\r\n"
                    "cache-control: no-store\r\nconnection: close\r\n\r\n".encode()
                    + (b"" if head.startswith(b"HEAD ") else raw)
                )
                await writer.drain()
        writer.close()

    async def _reply(self, head: bytes) -> Reply:
        method, _, rest = head.partition(b" ")
        if method not in {b"GET", b"HEAD"}:
            return _json(405, {"title": "Method Not Allowed"})
        match rest.partition(b" ")[0].partition(b"?")[0]:
            case b"/health/live":
                return self.live()
            case b"/health/ready":
                return await self.ready()
            case b"/metrics":
                return self.metrics()
        return _json(404, {"title": "Not Found"})


def _json(status: int, value: object) -> Reply:
    return status, "application/json", json.dumps(value)
