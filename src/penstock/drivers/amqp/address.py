"""AMQP URLs: hosts, login, virtual host and options, all checked at once."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.core.errors import ConfigurationError
from penstock.core.fault import unknown
from penstock.core.url import redact

PORT: Final = 5672
TLS_PORT: Final = 5671


@dataclass(frozen=True, slots=True)
class Host:
    """One node of a cluster."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What a URL says. Times are seconds."""

    hosts: tuple[Host, ...]
    user: str
    password: str = field(repr=False)
    vhost: str
    heartbeat: int = 0  #: 0: none; a task that holds the interpreter must not cost the connection
    connect_timeout: float = 4.0
    timeout: float = 10.0  #: for any answer of the server
    celery_priorities: bool = False  #: levels stay in the queue itself, with Celery's number and meaning
    name: str = ""  #: shown in the server's list of connections
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The address for people, without secrets."""
        kind = "amqps" if self.tls else "amqp"
        return f"{kind}://{self.user}@{','.join(map(str, self.hosts))}/{'' if self.vhost == '/' else self.vhost}"


_OPTIONS: Final = frozenset(
    {
        "heartbeat", "priority_scheme", "connection_timeout", "connect_timeout", "timeout", "name", "verify",
        "ssl_cert_reqs", "cacertfile", "certfile", "keyfile", "ca_certs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile",
    }
)  # fmt: skip


def parse(url: str) -> Address:
    """The address of a URL: `amqp[s]://user:password@host:port/vhost?options[;amqp://…]`.

    Several hosts are parted by `;` (whole URLs, as Celery writes them) or by `,` (hosts only). As with Celery, an
    empty virtual host is "/", and `//name` is "/name". Raises ConfigurationError with all faults.
    """
    faults: list[str] = []
    parts = [_one(each.strip(), faults) for each in url.split(";") if each.strip()]
    if faults:
        raise ConfigurationError(*(f"{redact(url)}: {fault}" for fault in dict.fromkeys(faults)))
    first = parts[0]
    return Address(
        hosts=tuple(host for each in parts for host in each.hosts),
        user=first.user,
        password=first.password,
        vhost=first.vhost,
        heartbeat=first.heartbeat,
        connect_timeout=first.connect_timeout,
        timeout=first.timeout,
        celery_priorities=first.celery_priorities,
        name=first.name or f"penstock {os.getpid()}@{socket.gethostname()}",
        tls=first.tls,
    )


def _one(url: str, faults: list[str]) -> Address:
    given = urlsplit(url if "://" in url else f"amqp://{url}")
    secure = given.scheme.lower() == "amqps"
    login, _, places = given.netloc.rpartition("@")
    user, mark, password = login.partition(":")
    options = dict(parse_qsl(given.query, keep_blank_values=True))
    faults += [unknown("option", name, _OPTIONS) for name in options if name not in _OPTIONS]
    path = given.path
    return Address(
        hosts=tuple(_host(each, TLS_PORT if secure else PORT, faults) for each in places.split(",")),
        user=unquote(user) or "guest",
        password=unquote(password) if mark else "guest",
        vhost=unquote(path[1:]) or "/",
        heartbeat=int(_number(options, ("heartbeat",), 0, faults)),
        connect_timeout=_number(options, ("connection_timeout", "connect_timeout"), 4.0, faults) or 4.0,
        timeout=_number(options, ("timeout",), 10.0, faults) or 10.0,
        celery_priorities=_scheme(options, faults) == "celery",
        name=options.get("name", ""),
        tls=_tls(options, faults) if secure else None,
    )


def _host(place: str, default: int, faults: list[str]) -> Host:
    if place.startswith("["):
        name, _, rest = place[1:].partition("]")
        port = rest.lstrip(":")
    else:
        name, _, port = place.partition(":")
    if port and not (port.isdecimal() and 0 < int(port) < 65536):
        faults.append(f"{port!r} is not a port")
        port = ""
    return Host(unquote(name) or "localhost", int(port or default))


def _number(options: Mapping[str, str], names: tuple[str, ...], default: float, faults: list[str]) -> float:
    for name in names:
        if name in options:
            try:
                found = float(options[name])
            except ValueError:
                found = -1.0
            if not 0 <= found < 1e6:
                faults.append(f"{name}={options[name]}: expected a number of seconds")
                return default
            return found
    return default


def _scheme(options: Mapping[str, str], faults: list[str]) -> str:
    found = options.get("priority_scheme", "penstock")
    if found not in ("penstock", "celery"):
        faults.append(f"priority_scheme={found}: known are penstock and celery")
    return found


def _first(options: Mapping[str, str], *names: str) -> str | None:
    return next((options[name] for name in names if options.get(name)), None)


def _tls(options: Mapping[str, str], faults: list[str]) -> ssl.SSLContext | None:
    """The context that the options ask for; certificates are checked unless they say otherwise."""
    said = (_first(options, "verify", "ssl_cert_reqs") or "verify_peer").lower()
    checks = said not in ("verify_none", "none", "cert_none", "no", "false", "0")

    def make() -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=_first(options, "cacertfile", "ca_certs", "ssl_ca_certs"))
        if not checks:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        certificate = _first(options, "certfile", "ssl_certfile")
        if certificate:
            context.load_cert_chain(certificate, _first(options, "keyfile", "ssl_keyfile"))
        return context

    return _tried(make, faults)


def _tried(make: Callable[[], ssl.SSLContext], faults: list[str]) -> ssl.SSLContext | None:
    try:
        return make()
    except (OSError, ssl.SSLError) as error:
        faults.append(f"TLS: {error}")
        return None
