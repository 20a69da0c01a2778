"""API keys: whose request it is, and what its key allows.

PENSTOCK_API_KEYS lists keys, separated by commas. A key is a secret of at least 16 characters out of letters, digits
and -._~+/ (then perhaps = signs, as in base64), and may name its scopes: `SECRET=submit+read`. Without them it has all.

    submit   queue tasks                read   see tasks, queues, workers
    operate  cancel, retry, pause, purge, replay, …

A secret is in no log, no error and no repr: keys are spoken of by their place in the list.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from penstock.api import problems
from penstock.api.problems import Problem
from penstock.api.route import SCOPES
from penstock.core.errors import ConfigurationError

ENTRY = re.compile(r"(?P<secret>[A-Za-z0-9._~+/-]+=*?)(=(?P<scopes>[a-z][a-z+]*))?")
SHORTEST = 16
GRANTED = frozenset(SCOPES) - {"none"}


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its place in the list, from 1; 0 is everybody, where there are no keys."""

    number: int
    scopes: frozenset[str]
    digest: bytes = field(default=b"", repr=False)
    owner: str = field(default="", repr=False)  #: the same in every process and after restarts, unlike the rest


ANYONE = Key(0, GRANTED)


class KeyRing:
    """The keys of a server. An empty ring lets everybody in."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._salt = os.urandom(32)
        found, faults = [], []
        for number, entry in enumerate(entries, 1):
            try:
                found.append(self._parse(number, entry))
            except ValueError as fault:
                faults.append(f"PENSTOCK_API_KEYS: key {number} {fault}")
        if faults:
            raise ConfigurationError(*faults)
        self.keys = tuple(found)

    def _parse(self, number: int, entry: str) -> Key:
        match = ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError("has characters other than letters, digits and -._~+/ (then = signs)")
        if len(match["secret"]) < SHORTEST:
            raise ValueError(f"is shorter than {SHORTEST} characters")
        scopes = frozenset(match["scopes"].split("+")) if match["scopes"] else GRANTED
        if not scopes <= GRANTED:
            raise ValueError(f"names a scope that does not exist; there are {', '.join(sorted(GRANTED))}")
        secret = match["secret"].encode()
        return Key(number, scopes, self._digest(secret), hashlib.sha256(b"penstock owner " + secret).hexdigest())

    def _digest(self, secret: bytes) -> bytes:
        return hashlib.blake2b(secret, key=self._salt).digest()

    def holder(self, headers: Mapping[bytes, bytes]) -> Key:
        """The key that a request carries. Raises a Problem (401) where one is needed and none fits.

        Every key is compared, each in constant time, so that time tells nothing about any of them.
        """
        if not self.keys:
            return ANYONE
        presented = _presented(headers)
        if presented is None:
            raise _unauthenticated("send an API key as `Authorization: Bearer KEY` or as `X-API-Key: KEY`", "")
        digest = self._digest(presented)
        held = [key for key in self.keys if hmac.compare_digest(key.digest, digest)]
        if not held:
            raise _unauthenticated("this API key is not known", ', error="invalid_token"')
        return held[0]


def allow(key: Key, scope: str) -> None:
    """Raise a Problem (403) unless `key` has `scope`."""
    if scope not in key.scopes:
        challenge = f'Bearer realm="penstock", error="insufficient_scope", scope="{scope}"'
        raise Problem(
            problems.FORBIDDEN,
            f"this needs the scope {scope!r}; the key has {', '.join(sorted(key.scopes))}",
            headers=((b"www-authenticate", challenge.encode()),),
        )


def _presented(headers: Mapping[bytes, bytes]) -> bytes | None:
    scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer" and secret.strip():
        return secret.strip()
    return headers.get(b"x-api-key", b"").strip() or None


def _unauthenticated(detail: str, error: str) -> Problem:
    challenge = f'Bearer realm="penstock"{error}'
    return Problem(problems.UNAUTHENTICATED, detail, headers=((b"www-authenticate", challenge.encode()),))
