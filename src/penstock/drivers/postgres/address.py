"""From a `postgresql://` URL to where the server is and how it is spoken to. Touches nothing but the TLS files."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.core.errors import ConfigurationError
from penstock.core.fault import unknown
from penstock.core.url import redact

SCHEMES: Final = ("postgresql", "postgres")
#: libpq's modes: https://www.postgresql.org/docs/current/libpq-ssl.html
_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_FILES: Final = ("sslrootcert", "sslcert", "sslkey")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_KNOWN: Final = (
    *("schema", "pool_size", "timeout", "connect_timeout", "sslmode", *_FILES),
    *("host", "port", "user", "password", "dbname", "application_name"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One schema in one database. Durations are seconds."""

    shown: str  #: the URL without its secrets
    host: str = "localhost"  #: a name, an address, or the folder of a unix socket
    port: int = 5432
    user: str | None = field(default=None, repr=False)  #: None: as libpq decides (PGUSER, the system's user)
    password: str | None = field(default=None, repr=False)  #: None: PGPASSWORD or the password file
    database: str | None = None
    schema: str = "penstock"
    pool_size: int = 4  #: connections at most, besides the one that listens
    timeout: float = 5.0  #: for a transaction
    connect_timeout: float = 2.0
    tls: ssl.SSLContext | str | None = None  #: None: without; a text is a mode that asyncpg knows
    application: str = "penstock"

    def connection(self) -> dict[str, Any]:
        """What `asyncpg.connect` takes."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "ssl": False if self.tls is None else self.tls,
            "server_settings": {"application_name": self.application},
        }


def parse(url: str) -> Address:
    """What `url` says. Raises ConfigurationError listing every fault.

    postgresql://[user[:password]@]host[:port]/database[?options], or ?host=/folder/of/the/socket
    """
    parts = urlsplit(url)
    shown = redact(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    faults = [unknown("option", name, _KNOWN) for name in given if name not in _KNOWN]
    if parts.scheme not in SCHEMES:
        faults.append(f"not one of {', '.join(f'{name}://' for name in SCHEMES)}")
    schema = given.get("schema", "penstock")
    if not _NAME.fullmatch(schema) or schema.startswith("pg_"):
        faults.append(f"schema={schema!r} must be a plain name of at most 63 letters, digits and _")
    address = Address(
        shown=shown,
        host=given.get("host") or unquote(parts.hostname or "") or "localhost",
        port=_port(parts, given, faults),
        user=given.get("user") or unquote(parts.username or "") or None,
        password=given.get("password") or unquote(parts.password or "") or None,
        database=given.get("dbname") or unquote(parts.path.strip("/")) or None,
        schema=schema,
        pool_size=int(_number(given, "pool_size", 4, faults)),
        timeout=_number(given, "timeout", 5.0, faults),
        connect_timeout=_number(given, "connect_timeout", 2.0, faults),
        tls=_tls(given, faults),
        application=given.get("application_name") or "penstock",
    )
    if address.pool_size < 2:
        faults.append("pool_size must be 2 or more: one to write, one to read")
    if faults:
        raise ConfigurationError(*(f"{shown}: {fault}" for fault in faults))
    return address


def _port(parts: Any, given: dict[str, str], faults: list[str]) -> int:
    try:
        return int(given["port"]) if given.get("port") else parts.port or 5432
    except ValueError:
        faults.append("the port must be a number from 0 to 65535")
        return 5432


def _number(given: dict[str, str], name: str, default: float, faults: list[str]) -> float:
    if name not in given:
        return default
    try:
        found = float(given[name])
    except ValueError:
        found = -1.0
    if not 0 < found < inf or (isinstance(default, int) and found != int(found)):
        what = "a whole number" if isinstance(default, int) else "a number of seconds"
        faults.append(f"{name}={given[name]!r} must be {what} above 0")
        return default
    return found


def _tls(given: dict[str, str], faults: list[str]) -> ssl.SSLContext | str | None:
    """As libpq does, save that its files are only looked for where the URL names them."""
    mode = given.get("sslmode", "prefer")
    if mode not in _MODES:
        faults.append(f"sslmode={mode!r} must be one of {', '.join(_MODES)}")
    files = {name: given[name] for name in _FILES if given.get(name)}
    faults += [f"{name}={path!r}: there is no such file" for name, path in files.items() if not Path(path).is_file()]
    if mode == "disable" or faults:
        return None
    if not files and mode in ("allow", "prefer", "require"):
        return mode
    try:
        context = ssl.create_default_context(cafile=files.get("sslrootcert"))
        context.check_hostname = mode == "verify-full"
        if not mode.startswith("verify"):
            context.verify_mode = ssl.CERT_REQUIRED if "sslrootcert" in files else ssl.CERT_NONE
        if "sslcert" in files:
            context.load_cert_chain(files["sslcert"], files.get("sslkey"))
    except (OSError, ssl.SSLError) as error:
        faults.append(f"the TLS files cannot be used: {error}")
        return None
    return context
