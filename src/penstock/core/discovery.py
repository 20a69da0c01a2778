"""A broker by its name: what Kubernetes and Docker tell of it in environment variables. Pure.

Kubernetes    BROKER_SERVICE_HOST, BROKER_SERVICE_PORT, BROKER_SERVICE_PORT_AMQP (a port that is called amqp)
Docker links  BROKER_PORT_5672_TCP=tcp://172.17.0.5:5672, or BROKER_PORT_5672_TCP_ADDR and _PORT
who to be     BROKER_USER, BROKER_PASSWORD, BROKER_VHOST; from links BROKER_ENV_RABBITMQ_DEFAULT_USER, … _PASS, … _VHOST
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

#: The name that is looked for where none is given.
NAME: Final = "broker"
#: Schemes by the ports that servers have, the likeliest first.
SCHEMES: Final = {5672: "amqp", 5671: "amqps", 6379: "redis", 5432: "postgresql"}
_HOSTLESS: Final = re.compile(r"(amqps?|pyamqp|rediss?|postgres(?:ql)?)://(?=/|\?|$)")
_SECURE: Final = ("amqps", "rediss")
_WHO: Final = {
    "user": ("USER", "USERNAME", "ENV_RABBITMQ_DEFAULT_USER", "ENV_USER"),
    "password": ("PASSWORD", "PASS", "ENV_RABBITMQ_DEFAULT_PASS", "ENV_PASSWORD", "ENV_PASS"),
    "vhost": ("VHOST", "ENV_RABBITMQ_DEFAULT_VHOST", "ENV_VHOST"),
}


def found(name: str, environ: Mapping[str, str], sooner: str = "") -> str:
    """The URL of the broker that the environment knows by that name; "" if it knows none.

    Where it has several ports, that of the scheme `sooner` is taken, else the likeliest.
    """
    schemes = {port: scheme for port, scheme in SCHEMES.items() if scheme == sooner} | SCHEMES
    place = _kubernetes(_prefix(name), environ, schemes) or _linked(_prefix(name), environ, schemes)
    return "" if place is None else url(name, *place, environ)


def url(name: str, scheme: str, host: str, port: int, environ: Mapping[str, str]) -> str:
    """A URL with the user, password and virtual host that the environment has for that name."""
    who = {part: _first(environ, [f"{_prefix(name)}_{each}" for each in names]) for part, names in _WHO.items()}
    user = quote(who["user"], safe="") + (f":{quote(who['password'], safe='')}" if who["password"] else "")
    path = quote(who["vhost"], safe="") if scheme.startswith("amqp") else ""
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{user}{'@' if user else ''}{host}:{port}/{path}"


def completed(given: str, environ: Mapping[str, str]) -> str:
    """A URL without a host (`amqp://`): the broker of that kind that the environment calls `broker`; else as it is.

    Who asks for TLS (`amqps://`) gets it, whatever the environment calls the port.
    """
    hostless = _HOSTLESS.match(given)
    there = found(NAME, environ, hostless[1]) if hostless else ""
    if not hostless or not there or _kind(there) != _kind(given):
        return given
    if hostless[1] in _SECURE:
        there = f"{hostless[1]}://{there.partition('://')[2]}"
    path, mark, query = given[hostless.end() :].partition("?")
    base = there if not path.strip("/") else f"{there.rpartition('/')[0]}{path}"
    return f"{base}{mark}{query}"


def looked_for(name: str) -> str:
    """The variables that were looked for, for people."""
    return f"{_prefix(name)}_SERVICE_HOST nor {_prefix(name)}_PORT_5672_TCP"


def _prefix(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def _kubernetes(prefix: str, environ: Mapping[str, str], schemes: Mapping[int, str]) -> tuple[str, str, int] | None:
    host = environ.get(f"{prefix}_SERVICE_HOST", "")
    if not host:
        return None
    for scheme in schemes.values():
        if port := _port(environ.get(f"{prefix}_SERVICE_PORT_{scheme.upper()}")):
            return scheme, host, port
    port = _port(environ.get(f"{prefix}_SERVICE_PORT")) or 5672
    return SCHEMES.get(port, "amqp"), host, port


def _linked(prefix: str, environ: Mapping[str, str], schemes: Mapping[int, str]) -> tuple[str, str, int] | None:
    for inside, scheme in schemes.items():
        parts = urlsplit(environ.get(f"{prefix}_PORT_{inside}_TCP", ""))
        host = environ.get(f"{prefix}_PORT_{inside}_TCP_ADDR") or parts.hostname
        port = (
            _port(environ.get(f"{prefix}_PORT_{inside}_TCP_PORT")) or _port(parts.netloc.rpartition(":")[2]) or inside
        )
        if host:
            return scheme, host, port
    return None


def _port(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and 0 < int(text) < 65536 else 0


def _first(environ: Mapping[str, str], names: list[str]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _kind(text: str) -> str:
    """What speaks the same: with TLS or without, under whatever name."""
    scheme = text.partition("://")[0]
    return {"pyamqp": "amqp", "amqps": "amqp", "rediss": "redis", "postgres": "postgresql"}.get(scheme, scheme)
