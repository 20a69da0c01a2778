"""What a request must look like before any route sees it.

A server on localhost is not safe from the web pages that a browser on the same machine shows. These rules keep them
out:

- Host must be a name of this server's (else a page could reach it by DNS rebinding), except on /health/*.
- What changes something must not come from another site: no foreign Origin, no `Sec-Fetch-Site: cross-site`.
- A body must have a content type that no HTML form can send (checked by the route that knows which).

There are no CORS headers, so that other sites' scripts cannot read answers either.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Mapping

from penstock.api import problems
from penstock.api.problems import Problem
from penstock.api.route import SAFE, Route

LOCAL = ("localhost", "127.0.0.1", "[::1]")
ONCE = (b"host", b"origin", b"sec-fetch-site", b"content-type", b"authorization", b"x-api-key")
ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104  (compared with, not bound)


class Doors:
    """`bound` is the address that the server listens on, "" if unknown; `hosts` are names that are allowed besides.

    A host may be `*.example.com` for every name below it, or `*` for any. A server bound to every address answers to
    each numeric one and to the machine's own name: rebinding needs a name that the attacker owns.
    """

    def __init__(self, hosts: Iterable[str] = (), bound: str = "") -> None:
        names = {host.lower() for host in hosts}
        self.names = {*LOCAL, *names}
        self.suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self.any_name = "*" in names
        self.any_number = bound in ANY_ADDRESS and bound != ""
        if self.any_number:
            self.names.add(socket.gethostname().lower())
        elif bound:
            self.names.add(f"[{bound}]" if ":" in bound else bound.lower())

    def check(self, method: str, path: str, head: Mapping[bytes, bytes]) -> None:
        """Raise a Problem (403) unless the request may come in."""
        host = head.get(b"host", b"").decode("latin-1").lower()
        if not path.startswith("/health/"):
            self._check_host(host)
        if method not in SAFE:
            _check_origin(host, head)

    def _check_host(self, host: str) -> None:
        name = _name(host)
        if name in self.names or self.any_name or name.endswith(self.suffixes or ("\0",)):
            return
        if self.any_number and _is_number(name):
            return
        detail = f"the host {name[:100]!r} is not allowed; PENSTOCK_ALLOWED_HOSTS lists the names that are"
        raise Problem(problems.FOREIGN_HOST, detail)


def _check_origin(host: str, head: Mapping[bytes, bytes]) -> None:
    origin = head.get(b"origin")
    if head.get(b"sec-fetch-site") == b"cross-site":
        raise Problem(problems.FOREIGN_ORIGIN, "the request comes from a page of another site")
    if origin is None:
        return
    _, found, place = origin.decode("latin-1").lower().partition("://")
    if not found or _plain(place) != _plain(host):
        raise Problem(problems.FOREIGN_ORIGIN, f"the request comes from a page of {origin[:100].decode('latin-1')!r}")


def check_once(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Raise a Problem (400) if a header that decides here is there twice: another server may believe the other one."""
    given = [name for name, _ in headers if name in ONCE]
    twice = [name.decode() for name in ONCE if given.count(name) > 1]
    if twice:
        raise Problem(problems.BAD_REQUEST, f"header {twice[0]}: given twice")


def check_content(route: Route, head: Mapping[bytes, bytes]) -> None:
    """Raise a Problem (415) if there is a body, and it is not of a type that the route takes."""
    if head.get(b"content-length", b"0") == b"0" and b"transfer-encoding" not in head:
        return
    wanted = route.body.types if route.body else ("application/json",)
    given = head.get(b"content-type", b"").decode("latin-1").lower()
    media_type, _, parameters = given.partition(";")
    if media_type.strip() not in wanted:
        found = f"not {media_type.strip()!r}" if media_type else "and it has to say so"
        raise _unsupported(f"the body has to be {' or '.join(wanted)}, {found}")
    charset = parameters.strip().removeprefix("charset=").strip('"')
    if "charset=" in parameters and charset not in {"utf-8", "utf8"}:
        raise _unsupported("the body has to be UTF-8")
    if head.get(b"content-encoding", b"identity").lower() != b"identity":
        raise _unsupported("the body has to be sent uncompressed")


def _unsupported(detail: str) -> Problem:
    return Problem(problems.UNSUPPORTED_TYPE, detail)


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0].rstrip(".")


def _plain(host: str) -> str:
    return host.removesuffix(":80").removesuffix(":443")


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
