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
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from penstock.api import problems
from penstock.api.problems import Problem
from penstock.core import access


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its place in the list, from 1; 0 is everybody, where there are no keys."""

    number: int
    scopes: frozenset[str]
    digest: bytes = field(default=b"", repr=False)
    owner: str = field(default="", repr=False)  #: the same in every process and after restarts
    seal: bytes = field(default=b"", repr=False)  #: signs the key's sessions; as lasting as `owner`


ANYONE = Key(0, access.GRANTED)


class KeyRing:
    """The keys of a server, from entries that Settings has checked. An empty ring lets everybody in."""

    def __init__(self, entries: Sequence[str]) -> None:
        self._salt = os.urandom(32)
        self.keys = tuple(self._made(number, *access.key(entry)) for number, entry in enumerate(entries, 1))

    def _made(self, number: int, secret: str, scopes: frozenset[str]) -> Key:
        owner = hashlib.sha256(b"penstock owner " + secret.encode()).hexdigest()
        seal = hashlib.sha256(b"penstock seal " + secret.encode()).digest()
        return Key(number, scopes, self._digest(secret.encode()), owner, seal)

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

    def holder_of_session(self, token: str, now: float) -> Key | None:
        """The key that a session is of; None if it is of none here, or over. `now` is in unix seconds."""
        terms, _, signature = token.rpartition(".")
        until = terms.partition(".")[0]
        if not until.isascii() or not until.isdigit() or len(until) > 12 or int(until) <= now:
            return None
        held = [key for key in self.keys if hmac.compare_digest(_signature(key, terms).encode(), signature.encode())]
        return held[0] if held else None


def session(key: Key, until: float) -> str:
    """A token that stands for `key` until then, in every process that has the key. It does not hold the secret."""
    terms = f"{int(until)}.{secrets.token_hex(8)}"
    return f"{terms}.{_signature(key, terms)}"


def _signature(key: Key, terms: str) -> str:
    return hmac.new(key.seal, terms.encode(), hashlib.sha256).hexdigest()


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
