"""The history of an installation: roll-ups kept as values with a time to live, in any result backend.

Several processes add to the same roll-up: each reads it, adds, and replaces it if nobody else did meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.client.backends import Backends
from penstock.core.history import SPANS, RollUp, Span
from penstock.core.step import Step, commit

log = logging.getLogger("penstock.history")

TRIES = 20  # times that a roll-up is read again because others were quicker
TOGETHER = 100  # roll-ups that are read in one go

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(RollUp)


async def add(backends: Backends, minutes: Mapping[int, RollUp]) -> None:
    """Merge what happened into what is kept. Raises Unavailable or StorageError; then it may be added in part."""
    for span in SPANS.values():
        merged: dict[int, RollUp] = {}
        for minute, news in minutes.items():
            merged.setdefault(minute // span.step * span.step, RollUp()).merge(news)
        for start, news in merged.items():
            await _merge(backends, span, start, news)


async def read(backends: Backends, span: Span, now: float) -> list[tuple[int, RollUp]]:
    """The roll-ups of a span up to `now`, oldest first, each with the unix time of its begin."""
    last = int(now // span.step) * span.step
    starts = [last - span.step * back for back in reversed(range(span.number))]
    found: list[bytes | None] = []
    for place in range(0, len(starts), TOGETHER):
        steps: list[Step[Any]] = [
            backends.results.keys.get(_key(span, start)) for start in starts[place : place + TOGETHER]
        ]
        found += await commit(*steps)
    return [(start, _decoded(value)) for start, value in zip(starts, found, strict=True)]


async def _merge(backends: Backends, span: Span, start: int, news: RollUp) -> None:
    keys, key = backends.results.keys, _key(span, start)
    old = await keys.add(key, _encode(news), span.kept)
    for _ in range(TRIES):
        if old is None:
            return
        whole = _decoded(old)
        whole.merge(news)
        if await keys.swap(key, old, _encode(whole), span.kept):
            return
        old = await keys.get(key)
    log.warning("a roll-up of the history could not be written: others were quicker %d times", TRIES)


def _key(span: Span, start: int) -> str:
    return f"history:{span.step}:{start}"


def _decoded(value: bytes | None) -> RollUp:
    try:
        return RollUp() if value is None else _decoder.decode(value)
    except msgspec.MsgspecError:  # written by another version
        return RollUp()
