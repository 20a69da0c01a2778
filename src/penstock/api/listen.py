"""The addresses that a server listens on: who may be let in there, and the sockets, bound before anything starts."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Sequence

from penstock.core.errors import ConfigurationError
from penstock.core.settings import Settings

BACKLOG = 2048


def check_exposure(host: str, settings: Settings, *, insecure: bool) -> None:
    """Raise ConfigurationError if everybody on the network could use the API."""
    if not (insecure or settings.insecure or settings.api_keys or is_loopback(host)):
        raise ConfigurationError(
            f"listening on {host} lets the network in: set PENSTOCK_API_KEYS, or say --insecure if that is meant"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listen(host: str, port: int, processes: int) -> list[socket.socket]:
    """A listening socket for each process, all on one port (0: a free one).

    Connections are spread over the sockets by the kernel. A socket outlives its process: what comes while the process
    is being replaced waits. Raises ConfigurationError if the address cannot be had.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}: {error.strerror}") from error
    first = _bound(family, kind, address, shared=False)
    if processes == 1:
        first.listen(BACKLOG)
        return [first]
    # SO_REUSEPORT would let a second server take the same port unnoticed: the first bind, without it, finds that out
    address = (address[0], first.getsockname()[1], *address[2:])
    first.close()
    sockets = [_bound(family, kind, address, shared=True) for _ in range(processes)]
    for each in sockets:
        each.listen(BACKLOG)
    return sockets


def inherited(descriptor: int) -> socket.socket:
    """The listening socket that another process has bound and handed down."""
    found = socket.socket(fileno=os.dup(descriptor))
    found.listen(BACKLOG)
    return found


def url(sockets: Sequence[socket.socket]) -> str:
    """Where the server is to be found."""
    host, port = sockets[0].getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bound(family: int, kind: int, address: tuple[object, ...], *, shared: bool) -> socket.socket:
    opened = socket.socket(family, kind)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    try:
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise ConfigurationError(f"cannot listen on {address[0]} port {address[1]}: {_reason(error)}") from error
    opened.setblocking(False)
    return opened


def _reason(error: OSError) -> str:
    if error.errno == 98 or "in use" in str(error):
        return "it is in use; end the other program or choose another --port"
    return error.strerror or str(error)
