"""Addresses of the loopback for a system's instances, and forwarding from one address to those that are ready."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.processes import share

Address = tuple[str, int]


class Network:
    """A block of 127.0.0.0/8, drawn by chance: two systems on one machine do not meet."""

    def __init__(self) -> None:
        number, count = share()
        self._block = f"127.{random.randrange(16, 250)}.{random.randrange(1 + number, 250, count)}"
        self._numbers = itertools.count(1)

    def address(self) -> str:
        number = next(self._numbers)
        assert number < 255, "a system has at most 254 addresses"
        return f"{self._block}.{number}"


@dataclass(frozen=True, slots=True)
class Inside:
    """What a container would see: its own address, names of others, its own paths. Puts ours in their places."""

    own: str
    names: Mapping[str, str]
    paths: Mapping[str, Path] = field(default_factory=dict)

    def text(self, value: str) -> str:
        """A word of a command, or a line of configuration."""
        value = re.sub(r"(?<![\w.])(0\.0\.0\.0|127\.0\.0\.1|localhost)(?![\w.])", self.own, value)
        for name in sorted(self.names, key=len, reverse=True):
            plain = re.escape(name)
            with_port = rf"(?<![\w.-]){plain}(?=:\d+(?![\w@-]))"
            alone = rf"(?:(?<=@)|(?<=//)){plain}(?=[/?;\s'\"]|$)"
            value = re.sub(f"{with_port}|{alone}", self.names[name], value)
        return self.path(value)

    def variable(self, name: str, value: str) -> str:
        """A variable's value; where the variable's name says so, all of it may be a host's name."""
        if value in self.names and re.search(r"HOST|ADDR|SERVER", name):
            return self.names[value]
        return self.text(value)

    def path(self, value: str) -> str:
        if not self.paths:
            return value
        known = "|".join(re.escape(path) for path in sorted(self.paths, key=len, reverse=True))
        return re.sub(rf"(?<![\w.])({known})(?=[/\s\"':;,)?]|$)", lambda found: str(self.paths[found[1]]), value)


class Forwards:
    """What Docker does with published ports and Kubernetes with Services: each connection goes to one that is ready."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="forwards", daemon=True)
        self._thread.start()

    def listen(self, host: str, port: int, targets: Callable[[], Sequence[Address]]) -> int:
        """Lead host:port to `targets()`, in turn, past those that refuse; return the port, as 0 is any free one."""
        turns = itertools.count()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            found, turn = list(targets()), next(turns)
            for number in range(len(found)):
                with contextlib.suppress(OSError):
                    far = await asyncio.open_connection(*found[(turn + number) % len(found)])
                    await _join((reader, writer), far)
                    return
            writer.close()

        async def start() -> asyncio.Server:
            return await asyncio.start_server(serve, host, port, backlog=1024)

        server = self._call(start())
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def close(self) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._call(end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(near: Stream, far: Stream) -> None:
    """Until the far end has nothing more to say; the near end may stop talking before."""
    asked = asyncio.ensure_future(_pump(near[0], far[1]))
    try:
        await _pump(far[0], near[1])
    finally:
        asked.cancel()
        for writer in (near[1], far[1]):
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way until that way ends, then say so."""
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
