"""What Redis and the network answer, as errors of core. Pure."""

from __future__ import annotations

import re
import ssl
from typing import Final

from penstock.core.errors import ConfigurationError, PenstockError, StorageError, Unavailable

#: the first word of an error → what it means for people; these pass without anything being started anew
_PASSING: Final = {
    "LOADING": "it is still loading its data",
    "BUSY": "it is busy with a script",
    "MASTERDOWN": "its master is gone",
    "TRYAGAIN": "it is moving keys",
    "CLUSTERDOWN": "its cluster is down",
    "OOM": "it is full (maxmemory); nothing can be added until there is room",
    "MISCONF": "it cannot save to its disk, and refuses to be written to",
    "NOREPLICAS": "it has too few replicas to be written to (min-replicas-to-write)",
}
#: these need somebody
_UNUSABLE: Final = {
    "READONLY": "it is a read-only replica; name its master",
}
_LOGIN: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})
_WORD: Final = re.compile(r"^-?([A-Z]+)\b")
#: redis.call inside a script puts its own words around the error
_INSIDE: Final = re.compile(r"-?\b(OOM|MISCONF|READONLY|NOREPLICAS|NOPERM|LOADING|MASTERDOWN)\b")


def translated(error: Exception, shown: str) -> PenstockError:
    """The error of core that an error reply stands for. `shown` names the server without secrets."""
    text = str(error)
    found = _WORD.match(text)
    word = found[1] if found else ""
    if word not in (*_PASSING, *_UNUSABLE, *_LOGIN) and (inside := _INSIDE.search(text)):
        word = inside[1]
    if word in _PASSING:
        return Unavailable(f"{shown}: {_PASSING[word]}", unsent=True)
    if word in _UNUSABLE:
        return StorageError(f"{shown}: {_UNUSABLE[word]}")
    if word in _LOGIN or "invalid password" in text or "AUTH" in text:
        return ConfigurationError(f"{shown}: the login is refused: {text}")
    return StorageError(f"{shown}: {text}")


def unreachable(error: BaseException, shown: str) -> PenstockError:
    """No connection could be made: nothing was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return ConfigurationError(f"{shown}: TLS failed: {error.verify_message}")
    what = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return Unavailable(f"{shown} cannot be reached: {what}", unsent=True)
