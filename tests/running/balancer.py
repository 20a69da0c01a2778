"""HAProxy, configured by the labels and health checks of Marathon's apps, as marathon-lb does it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx

from tests import servers
from tests.processes import eventually, listens, tree
from tests.running.network import Address
from tests.running.units import Unit

_FIRST = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
#: the port of all virtual hosts: 80, where we may listen to it
VHOSTS = 80 if os.geteuid() == 0 or (_FIRST.exists() and int(_FIRST.read_text()) <= 80) else 8080

_HEAD = """\
global
  maxconn 2000
  stats socket {folder}/haproxy.sock mode 600 level admin expose-fd listeners
defaults
  retries 3
  option redispatch
  option http-server-close
  option dontlognull
  timeout connect 3s
  timeout client 30s
  timeout server 30s
  timeout tunnel 3600s
  timeout http-keep-alive 1s
  timeout http-request 15s
  timeout queue 30s
"""
_HTTP_OPTIONS = """\
  option forwardfor
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request add-header X-Forwarded-Proto https if { ssl_fc }
"""


def configuration(units: Sequence[Unit], address: str, folder: Path, where: Callable[[str, int], list[Address]]) -> str:
    """What HAProxy reads. `where` tells which instances of a unit there are, by its name and port."""
    frontends, backends, hosts = "", "", ""
    for unit in units:
        if "HAPROXY_GROUP" not in unit.labels:
            continue
        for index, (port, inside) in enumerate(unit.balanced.items()):
            label = {
                key: unit.labels.get(f"HAPROXY_{index}_{key}", "") for key in ("MODE", "VHOST", "BACKEND_HTTP_OPTIONS")
            }
            mode, name = label["MODE"] or "tcp", f"{unit.name.strip('/').replace('/', '_')}_{port}"
            frontends += f"frontend {name}\n  bind {address}:{port}\n  mode {mode}\n  use_backend {name}\n"
            for host in filter(None, label["VHOST"].split(",")):
                acl = f"host_{re.sub('[^a-z0-9]', '_', host)}"
                hosts += f"  acl {acl} hdr(host) -i {host}\n  use_backend {name} if {acl}\n"
            backends += f"backend {name}\n  balance roundrobin\n  mode {mode}\n"
            backends += (label["BACKEND_HTTP_OPTIONS"] or _HTTP_OPTIONS) if mode == "http" else ""
            backends += _servers(unit, where(unit.name, inside))
    vhosts = f"frontend marathon_http_in\n  bind {address}:{VHOSTS}\n  mode http\n{hosts}" if hosts else ""
    return _HEAD.format(folder=folder) + vhosts + frontends + backends


def _servers(unit: Unit, found: Sequence[Address]) -> str:
    check, text = unit.alive, ""
    if check is not None and check.path:
        text += f"  option httpchk GET {check.path}\n"
    for host, port in found:
        health = f" check inter {check.every:g}s fall {check.failures + 1}" if check is not None else ""
        text += f"  server {host.replace('.', '_')}_{port} {host}:{port}{health}\n"
    return text


class Balancer:
    """The running HAProxy; it looks every fifth of a second whether something changed."""

    def __init__(self, address: str, folder: Path, where: Callable[[str, int], list[Address]]) -> None:
        self.file = folder / "haproxy.cfg"
        self._address = address
        self._folder = folder
        self._where = where
        self._units: Sequence[Unit] = ()
        self.starts = 0
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="balancer", daemon=True)

    def start(self, units: Sequence[Unit]) -> None:
        self._units = units
        program = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
        if program is None:
            raise servers.NotInstalledError("HAProxy", "haproxy")
        self.file.write_text(self._text())
        checked = subprocess.run([program, "-c", "-f", str(self.file)], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, f"{checked.stdout}\n{checked.stderr}\n{self.file.read_text()}"
        self._program = program
        self._begin()
        first = next(port for unit in units for port in unit.balanced)
        eventually(lambda: listens(first, self._address), what="HAProxy listens")
        self._thread.start()

    def close(self) -> None:
        self._ending.set()
        self._thread.join()
        self.kill()
        self._process.wait()
        servers._reaper("end", self._process.pid)

    def serves(self) -> bool:
        """Whether what is ready is reached through it: it takes a moment to read its file again."""
        return all(
            self._leads(port)
            for unit in self._units
            for index, (port, inside) in enumerate(unit.balanced.items())
            if unit.labels.get(f"HAPROXY_{index}_MODE") == "http" and self._where(unit.name, inside)
        )

    def _leads(self, port: int) -> bool:
        try:
            return httpx.get(f"http://{self._address}:{port}/").status_code != httpx.codes.SERVICE_UNAVAILABLE
        except httpx.TransportError:  # it is being started again
            return False

    def kill(self) -> None:
        """SIGKILL it and its own processes; it is started again."""
        for pid in tree(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _begin(self) -> None:
        self.starts += 1
        with (self._folder / "haproxy.log").open("ab") as log:
            command = [self._program, "-W", "-db", "-f", str(self.file)]
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        servers._reaper("run", self._process.pid)

    def _text(self) -> str:
        return configuration(self._units, self._address, self._folder, self._where)

    def _follow(self) -> None:
        while not self._ending.wait(0.2):
            if self._process.poll() is not None:
                servers._reaper("end", self._process.pid)
                self._begin()
            text = self._text()
            if text != self.file.read_text():
                self.file.write_text(text)
                self._process.send_signal(signal.SIGUSR2)
                self._ending.wait(0.5)
