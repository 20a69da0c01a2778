"""Hosts of their own on this machine: network namespaces on one switch, whose cables can be pulled.

    with Network() as network:
        shop, store = network.host(), network.host()
        store.command("redis-server", "--bind", store.address)
        shop.pull()
        ...
        shop.plug()

Files are shared, processes are seen by all; only the network is apart, the loopback included. A namespace lives as long
as the process that holds it, so nothing outlives the run. Linux, as root; elsewhere `refused` tells why not.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.processes import eventually
from tests.servers import Redis, ends_with_the_run

_NET = "10.77.0"


def refused() -> str:
    """Why there cannot be hosts of their own here; "" where there can."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    script = "ip link add try0 type bridge && ip link add try1 type veth peer name try2"
    tried = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False)  # noqa: S607
    return "" if tried.returncode == 0 else f"network namespaces are not allowed here: {tried.stderr.strip()}"


class Space:
    """A network namespace, held by a process that sleeps."""

    def __init__(self) -> None:
        command = ["unshare", "--net", "sleep", "infinity"]
        self._holder = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)
        self.pid = self._holder.pid
        ends_with_the_run(self.pid)
        here = Path("/proc/self/ns/net").readlink()
        eventually(lambda: Path(f"/proc/{self.pid}/ns/net").readlink() != here, what="a namespace of its own")
        self.do("ip", "link", "set", "lo", "up")

    def command(self, *command: str) -> list[str]:
        """What runs a command there."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command]

    def do(self, *command: str) -> str:
        """Run it there; what it printed."""
        done = subprocess.run(self.command(*command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._holder.kill()
        self._holder.wait()


class Host(Space):
    """One machine at the switch."""

    def __init__(self, switch: Space, number: int) -> None:
        super().__init__()
        self.address = f"{_NET}.{number}"
        self._switch = switch
        self._plug = f"plug{number}"
        switch.do("ip", "link", "add", self._plug, "type", "veth", "peer", "name", "eth0", "netns", str(self.pid))
        switch.do("ip", "link", "set", self._plug, "master", "switch", "up")
        self.do("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.do("ip", "link", "set", "eth0", "up")

    def pull(self) -> None:
        """Pull its cable: it reaches nobody, and nobody reaches it. Connections are told nothing."""
        self._switch.do("ip", "link", "set", self._plug, "down")

    def plug(self) -> None:
        self._switch.do("ip", "link", "set", self._plug, "up")


class Network:
    """A switch and its hosts. Use it as a context manager."""

    def __init__(self) -> None:
        self._switch = Space()
        self._hosts: list[Host] = []
        self._switch.do("ip", "link", "add", "switch", "type", "bridge")
        self._switch.do("ip", "link", "set", "switch", "up")

    def host(self) -> Host:
        """One more machine."""
        self._hosts.append(Host(self._switch, len(self._hosts) + 1))
        return self._hosts[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for space in (*self._hosts, self._switch):
            space.close()


class RedisAt(Redis):
    """A Redis on a host; `direct` leads to it from outside of the network, past the switch."""

    def __init__(self, host: Host) -> None:
        self._host = host
        super().__init__(bind="0.0.0.0", protected_mode="no")  # noqa: S104 - of a network of its own

    def _command(self) -> list[str]:
        return self._host.command(*super()._command())

    def _answers(self) -> bool:
        asked = ["redis-cli", "-s", str(self.folder / "redis.sock"), "ping"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.startswith("PONG")

    @property
    def url(self) -> str:
        return f"redis://{self._host.address}:{self.port}/0"

    @property
    def direct(self) -> str:
        return f"redis+socket://{self.folder}/redis.sock?virtual_host=0"
