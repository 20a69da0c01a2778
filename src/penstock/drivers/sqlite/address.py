"""From `sqlite:///relative.db` or `sqlite:////absolute.db` to a driver. Touches nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from penstock.core.errors import ConfigurationError
from penstock.drivers.sqlite.driver import PATIENCE, SQLite


def open_driver(
    url: str, *, settings: Any = None, blocking: bool = False, clock: Callable[[], float] = time.time
) -> SQLite:
    """A driver for the file that `url` names, not opened yet. Raises ConfigurationError listing every fault of the URL.

    Options: `timeout`, seconds to wait while another program has the file locked (60).
    """
    del settings  # none of them is about the file; the signature is every driver's
    parts = urlsplit(url)
    faults = []
    if parts.scheme != "sqlite":
        faults.append(f"{url!r} is not an sqlite URL")
    if parts.netloc:
        faults.append(f"{url!r} names a host; write sqlite:///relative.db or sqlite:////absolute/path.db")
    path = unquote(parts.path.removeprefix("/"))
    if path in ("", ":memory:"):
        faults.append(f"{url!r} names no file; for tests without a file use memory://")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    patience = PATIENCE
    if "timeout" in options:
        try:
            patience = float(options.pop("timeout"))
        except ValueError:
            patience = -1.0
        if not 0 <= patience < inf:
            faults.append(f"{url!r}: timeout must be a number of seconds")
    faults += [f"{url!r}: unknown option {name!r}; known: timeout" for name in options]
    if faults:
        raise ConfigurationError(*faults)
    return SQLite(path, blocking=blocking, clock=clock, patience=patience)
