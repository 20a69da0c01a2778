"""URLs of brokers and result backends: what may be shown of them, and whether two name the same place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from penstock.core.errors import ConfigurationError

#: Greedy up to the last @: a password with an unescaped @, / or ; is hidden too.
_USERINFO: Final = re.compile(r"(://[^:/?#@\s]*):.*@", re.DOTALL)
_SECRET: Final = re.compile(r"([?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=)[^&#]*", re.IGNORECASE)
_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = frozenset({"postgresql", "postgres"})
_WHERE: Final = frozenset({"schema", "host", "port", "dbname", "user"})


def redact(url: str) -> str:
    """The URL without its secrets: `redis://me:***@host/0`. Every URL that is shown anywhere goes through here."""
    return _SECRET.sub(r"\1***", _USERINFO.sub(r"\1:***@", url))


def scheme(url: str) -> str:
    """`"redis"` of `redis://…`, lower case; "" if there is none."""
    head, mark, _ = url.partition("://")
    return head.lower() if mark else ""


def absolute(url: str) -> str:
    """The URL with a relative SQLite path (`sqlite:///penstock.db`) made absolute (`sqlite:////srv/penstock.db`).

    Raises ConfigurationError for an SQLite URL without a file.
    """
    if scheme(url) != "sqlite":
        return url
    path, mark, query = url[len(_SQLITE) :].partition("?")
    if not url.lower().startswith(_SQLITE) or path in ("", "/", ":memory:"):
        raise ConfigurationError(f"{redact(url)} names no file; write sqlite:///NAME.db, or memory:// to keep nothing")
    return f"{_SQLITE}{Path(path).expanduser().absolute()}{mark}{query}"


def place(url: str) -> str:
    """What is equal for two URLs of the same server or file: the URL without its options.

    Of PostgreSQL's options, the schema is part of the place, and so are those that say where the server is.
    """
    kind, _, rest = absolute(url).partition("://")
    where, _, options = rest.partition("?")
    if kind.lower() not in _POSTGRES:
        return f"{kind.lower()}://{where.rstrip('/')}"
    given = "&".join(sorted(each for each in options.split("&") if each.partition("=")[0] in _WHERE))
    return f"postgresql://{where.rstrip('/')}?{given}".rstrip("?")


def file(url: str) -> Path | None:
    """The file that keeps what the URL names; None where a server does."""
    return Path(unquote(absolute(url)[len(_SQLITE) :].partition("?")[0])) if scheme(url) == "sqlite" else None
