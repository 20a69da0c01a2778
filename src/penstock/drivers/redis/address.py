"""From a `redis://` URL to where the server is and how it is spoken to. Touches nothing."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from penstock.core.errors import ConfigurationError
from penstock.core.fault import unknown
from penstock.core.url import redact

SCHEMES: Final = ("redis", "rediss", "redis+socket")
_VERIFY: Final = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One database of one Redis server. Durations are seconds."""

    shown: str  #: the URL without its secrets
    host: str = "localhost"
    port: int = 6379
    path: str = ""  #: of a unix socket; then there is no host
    db: int = 0
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    timeout: float = 5.0  #: for an answer
    connect_timeout: float = 3.0
    tls: ssl.SSLContext | None = None
    prefix: str = ""  #: Celery's `global_keyprefix`: stands before every key and channel
    celery_priorities: bool = False  #: levels go to kombu's own lists, delays to its queues, with Celery's meaning
    visibility_timeout: float = 3600.0  #: Celery's: what it has to be kept from restoring is refreshed within it

    @property
    def channel(self) -> str:
        """What stands before the names of our channels: publishing knows no databases."""
        return f"{self.prefix}/{self.db}.penstock."


class _Options:
    """The options of one URL; collects what is wrong with them."""

    def __init__(self, parts: SplitResult) -> None:
        self.faults: list[str] = []
        self._given = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._known: list[str] = []

    def text(self, name: str, default: str = "") -> str:
        self._known.append(name)
        return self._given.get(name, default)

    def seconds(self, name: str, default: float) -> float:
        found: float = self._number(name, float, default, lambda found: 0 < found < inf, "a number of seconds above 0")
        return found

    def whole(self, name: str, default: int) -> int:
        found: int = self._number(name, int, default, lambda found: found >= 0, "a whole number, 0 or more")
        return found

    def one_of(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        found = self.text(name, default).lower().removeprefix("cert_")
        if found not in allowed:
            self.faults.append(f"{name} must be one of {', '.join(allowed)}")
        return found if found in allowed else default

    def unknown(self) -> list[str]:
        return [unknown("option", name, self._known) for name in self._given if name not in self._known]

    def _number(
        self, name: str, kind: Callable[[str], Any], default: Any, fits: Callable[[Any], bool], what: str
    ) -> Any:
        text = self.text(name)
        if not text:
            return default
        try:
            found = kind(text)
        except ValueError:
            found = None
        if found is None or not fits(found):
            self.faults.append(f"{name}={text!r} must be {what}")
            return default
        return found


def parse(url: str) -> Address:
    """What `url` says. Raises ConfigurationError listing every fault.

    redis://[user[:password]@]host[:port][/db] · rediss:// the same over TLS · redis+socket:///path?virtual_host=db
    """
    parts = urlsplit(url)
    options = _Options(parts)
    shown = redact(url)
    if parts.scheme not in SCHEMES:
        options.faults.append(f"not one of {', '.join(f'{name}://' for name in SCHEMES)}")
    socket = parts.scheme == "redis+socket"
    address = Address(
        shown=shown,
        host=parts.hostname or "localhost",
        port=_port(parts, options),
        path=unquote(parts.path) if socket else "",
        db=_db(parts, options, socket),
        username=unquote(parts.username or "") or options.text("username"),
        password=unquote(parts.password or "") or options.text("password"),
        timeout=options.seconds("socket_timeout", 5.0),
        connect_timeout=options.seconds("socket_connect_timeout", 3.0),
        tls=_tls(options, parts.scheme == "rediss"),
        prefix=options.text("global_keyprefix"),
        celery_priorities=options.one_of("priority_scheme", ("penstock", "celery"), "penstock") == "celery",
        visibility_timeout=options.seconds("visibility_timeout", 3600.0),
    )
    if socket and not address.path:
        options.faults.append("names no socket; write redis+socket:///path/to/redis.sock")
    faults = options.faults + options.unknown()
    if faults:
        raise ConfigurationError(*(f"{shown}: {fault}" for fault in faults))
    return address


def _port(parts: SplitResult, options: _Options) -> int:
    try:
        return parts.port or 6379
    except ValueError as error:
        options.faults.append(str(error))
        return 6379


def _db(parts: SplitResult, options: _Options, socket: bool) -> int:
    """The number of the database: in the path, or in an option as kombu and redis-py spell it."""
    given = options.whole("virtual_host", options.whole("db", 0))
    path = "" if socket else parts.path.strip("/")
    if not path:
        return given
    if not path.isdecimal():
        options.faults.append(f"the database must be a number, not {path!r}")
        return given
    return int(path)


def _tls(options: _Options, wanted: bool) -> ssl.SSLContext | None:
    verify = _VERIFY[options.one_of("ssl_cert_reqs", tuple(_VERIFY), "required")]
    authorities, certificate, key = (options.text(f"ssl_{name}") for name in ("ca_certs", "certfile", "keyfile"))
    names = options.one_of("ssl_check_hostname", ("true", "false"), "true" if verify == ssl.CERT_REQUIRED else "false")
    if not wanted:
        return None
    try:
        context = ssl.create_default_context(cafile=authorities or None)
        context.check_hostname = names == "true" and verify == ssl.CERT_REQUIRED
        context.verify_mode = verify
        if certificate:
            context.load_cert_chain(certificate, key or None)
    except (OSError, ssl.SSLError) as error:
        options.faults.append(f"the TLS files cannot be used: {error}")
        return None
    return context
