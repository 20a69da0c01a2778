"""A broker by its name, wherever it is: the environment, Marathon, Consul, DNS. Asked once, when a command starts.

the environment   core/discovery
Marathon          its HTTP API at $MARATHON_URL: the app of that name, its first port
Consul            its HTTP API at $CONSUL_HTTP_ADDR; by DNS as NAME.service.consul
DNS               SRV records: _amqp._tcp.NAME, NAME.service.consul, _NAME._tcp.marathon.mesos; or NAME is a host
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import struct
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from penstock.core.discovery import SCHEMES, found, looked_for, url
from penstock.core.errors import ConfigurationError

_PATIENCE: Final = 2.0  # seconds for one answer
_SRV: Final = 33
_POINTER: Final = 0xC0  # the top bits of a length that is a pointer into the message
_HEADER: Final = struct.Struct("!HHHHHH")
_ANSWER: Final = struct.Struct("!HHIH")  # type, class, seconds to live, length
_TARGET: Final = struct.Struct("!HHH")  # priority, weight, port

Place = tuple[str, int]  # host, port
Resolve = Callable[[str], list[Place]]


def named(name: str, environ: Mapping[str, str] | None = None, resolve: Resolve | None = None) -> str:
    """The URL of the broker of that name. Raises ConfigurationError, which says where it was looked for."""
    environ = os.environ if environ is None else environ
    if there := found(name, environ):
        return there
    for place in _places(name, environ, resolve or lookup):
        return url(name, SCHEMES.get(place[1], "amqp"), *place, environ)
    raise ConfigurationError(
        f"there is no broker called {name!r}: neither {looked_for(name)} is set, and neither Marathon, "
        "Consul nor DNS knows it; give its --url"
    )


def _places(name: str, environ: Mapping[str, str], resolve: Resolve) -> Iterator[Place]:
    if marathon := environ.get("MARATHON_URL"):
        yield from _marathon(name, marathon)
    if consul := environ.get("CONSUL_HTTP_ADDR"):
        yield from _consul(name, consul, environ.get("CONSUL_HTTP_TOKEN", ""))
    for question in (f"_amqp._tcp.{name}", f"{name}.service.consul", f"_{name}._tcp.marathon.mesos"):
        yield from resolve(question)
    try:
        socket.getaddrinfo(name, None)
    except (OSError, UnicodeError):
        return
    yield name, 5672


def _consul(name: str, address: str, token: str) -> list[Place]:
    """The healthy instances that Consul knows; none if it cannot be asked."""
    base = address if "://" in address else f"http://{address}"
    path = f"/v1/health/service/{quote(name, safe='')}?passing=1"
    found = _fetched(base.rstrip("/") + path, {"X-Consul-Token": token} if token else {})
    entries = [(each["Service"], each["Node"]) for each in found] if isinstance(found, list) else []
    return [(service.get("Address") or node["Address"], service["Port"]) for service, node in entries]


def _marathon(name: str, address: str) -> list[Place]:
    """Where the instances of an app are: their hosts, and the ports that its first one has there."""
    found = _fetched(f"{address.rstrip('/')}/v2/apps/{quote(name, safe='')}/tasks", {"Accept": "application/json"})
    tasks = found.get("tasks", []) if isinstance(found, dict) else []
    return [(each["host"], each["ports"][0]) for each in tasks if each.get("ports")]


def _fetched(address: str, headers: Mapping[str, str]) -> Any:
    """The JSON that is served there; None if nothing is."""
    try:
        asked = urllib.request.Request(address, headers=dict(headers))  # noqa: S310 - its user says where it is
        with urllib.request.urlopen(asked, timeout=_PATIENCE) as answer:  # noqa: S310
            return json.load(answer)
    except (OSError, ValueError):
        return None


def lookup(name: str, servers: list[Place] | None = None) -> list[Place]:
    """The places in a name's SRV records, the best first; none if there are none, or nobody answers.

    Asks the name servers of this machine, one after the other, for the name as it is and in its search domains.
    """
    own, domains = _configured()
    for question in (name, *(f"{name}.{domain}" for domain in domains)):
        for server in own if servers is None else servers:
            try:
                places = _asked(question, server)
            except (OSError, ValueError, IndexError, UnicodeError, struct.error):
                continue
            if places:
                return places
            break
    return []


def _configured() -> tuple[list[Place], list[str]]:
    """Name servers and search domains, as /etc/resolv.conf has them."""
    servers: list[Place] = []
    domains: list[str] = []
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        lines = []
    for words in (line.split() for line in lines):
        if words[:1] == ["nameserver"] and len(words) > 1:
            servers.append((words[1], 53))
        elif words[:1] in (["search"], ["domain"]):
            domains = words[1:]
    return servers[:3] or [("127.0.0.1", 53)], domains


def _asked(name: str, server: Place) -> list[Place]:
    number = secrets.randbelow(1 << 16)
    labels = b"".join(bytes([len(each)]) + each for each in (part.encode("idna") for part in name.split(".")))
    question = _HEADER.pack(number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", _SRV, 1)
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_PATIENCE)
        asking.connect(server)
        asking.send(question)
        answer = asking.recv(4096)
    if answer[:2] != question[:2]:
        raise ValueError("the answer is for another question")
    return _read(answer)


def _read(answer: bytes) -> list[Place]:
    _, _, questions, answers, _, _ = _HEADER.unpack_from(answer)
    at = _HEADER.size
    for _ in range(questions):
        at = _name(answer, at)[1] + 4
    records = []
    for _ in range(answers):
        at = _name(answer, at)[1]
        kind, _, _, length = _ANSWER.unpack_from(answer, at)
        at += _ANSWER.size
        if kind == _SRV:
            priority, weight, port = _TARGET.unpack_from(answer, at)
            records.append((priority, -weight, _name(answer, at + _TARGET.size)[0], port))
        at += length
    return [(host, port) for _, _, host, port in sorted(records) if host]


def _name(answer: bytes, at: int) -> tuple[str, int]:
    """A name at a place of a message, and where what follows it begins."""
    labels: list[str] = []
    end = 0
    while length := answer[at]:
        if length >= _POINTER:
            end = end or at + 2
            target = (length & ~_POINTER) << 8 | answer[at + 1]
            if target >= at:
                raise ValueError("a pointer that leads ahead")
            at = target
        else:
            labels.append(answer[at + 1 : at + 1 + length].decode("ascii"))
            at += 1 + length
    return ".".join(labels), end or at + 1
