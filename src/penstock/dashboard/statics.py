"""The style and the script of all pages. Their addresses change with their content, so browsers may keep them."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Protocol

from penstock.api.answer import Answer, Content
from penstock.dashboard.asking import Refused

TYPES = {
    "style.css": b"text/css; charset=utf-8",
    "live.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}


class _Kept(Content):
    """A file, which is the same for ever under its address."""

    __slots__ = ()

    def __init__(self, body: bytes, content_type: bytes) -> None:
        super().__init__(200, body, content_type)
        kept = b"public, max-age=31536000, immutable"
        self.headers = [(name, kept if name == b"cache-control" else value) for name, value in self.headers]


_FILES = {name: files(__package__).joinpath("static", name).read_bytes() for name in TYPES}
_VERSION = hashlib.sha256(b"".join(_FILES.values())).hexdigest()[:10]


def address(name: str) -> str:
    """Where a page finds the file `name`."""
    return f"/ui/static/{name}?v={_VERSION}"


class Named(Protocol):
    """A visit (dashboard.visit, which shows pages and so cannot be known here): what is asked for."""

    names: dict[str, str]


async def get(visit: Named) -> Answer:
    """GET /ui/static/{name}."""
    name = visit.names["name"]
    if name not in _FILES:
        raise Refused(404, {"title": "Not found", "detail": f"there is no file {name!r}"})
    return _Kept(_FILES[name], TYPES[name])
