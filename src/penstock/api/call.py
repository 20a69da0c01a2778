"""One request on its way through its route: its parameters, checked by the table, and its body, read within limits."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from penstock.api import problems
from penstock.api.keys import Key
from penstock.api.problems import Problem
from penstock.api.route import Parameter, Route
from penstock.api.site import Site
from penstock.core.encoding import loads

_decode = msgspec.json.Decoder().decode

SLASH = "\0"  #: stands for an escaped slash in a part of a path: no name may contain NUL


class Call:
    """What a handler gets. `call["limit"]` is a parameter's value: its default where it was not given."""

    __slots__ = ("head", "key", "receive", "route", "scope", "site", "values")

    def __init__(self, site: Site, route: Route, scope: Scope, receive: Receive, key: Key) -> None:
        self.site = site
        self.route = route
        self.scope = scope
        self.receive = receive
        self.key = key  #: whose request it is
        self.head: dict[bytes, bytes] = dict(scope["headers"])
        self.values: dict[str, Any] = dict(route.defaults)
        for name, given in scope.get("path_params", {}).items():
            self.values[name] = _read(route.path_parameters[name], given.replace(SLASH, "/"))
        self._read_query(scope["query_string"])
        for name, parameter in route.headers.items():
            if name in self.head:
                self.values[parameter.name] = _read(parameter, self._whole(name, parameter))

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def _whole(self, name: bytes, parameter: Parameter) -> str:
        """A header; most may be given once only."""
        lines = [value for key, value in self.scope["headers"] if key == name]
        if len(lines) > 1 and not parameter.lines:
            raise _bad("header", parameter.name, "given twice")
        return b", ".join(lines).decode("latin-1")

    def _read_query(self, query: bytes) -> None:
        if not query:
            return
        known = self.route.query
        seen = set()
        for name, given in _pairs(query):
            parameter = known.get(name)
            if parameter is None:
                raise _bad("query", name, f"unknown; known here: {', '.join(known) or 'none'}")
            value = _read(parameter, given)
            if parameter.many:
                self.values[name] = [*self.values[name], value]
            elif name in seen:
                raise _bad("query", name, "given twice")
            else:
                self.values[name] = value
            seen.add(name)

    async def body(self) -> bytes:
        """The whole body; 413 as soon as it is seen to be too large."""
        settings = self.site.settings
        limit = settings.max_raw_body if self.route.body and self.route.body.raw else settings.max_body
        announced = self.head.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Problem(problems.MALFORMED, "the connection closed before the whole body was here")
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    @property
    def content_type(self) -> str:
        """The body's media type, without parameters."""
        return self.head.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()

    def decoded(self, body: bytes) -> Any:
        """JSON decoded. Raises a Problem (400) if it is malformed, too deep, or not JSON (NaN, a lone surrogate)."""
        if not body:
            raise Problem(problems.MALFORMED, "a JSON body is needed")
        depth = self.site.settings.json_depth
        try:
            value = _decode(body)
        except (ValueError, RecursionError) as fault:
            raise Problem(problems.MALFORMED, f"malformed JSON: {fault}") from None
        if body.count(b"[") + body.count(b"{") > depth or b"__type__" in body or b"\\u00" in body:
            # the exact look: at the depth, and at kombu's typed forms, which a worker must be able to read
            return loads(body, max_depth=depth)
        return value


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=1000
        )
    except ValueError:  # UnicodeDecodeError is one
        raise Problem(problems.BAD_REQUEST, "the query string is not UTF-8, or has too many fields") from None


def _read(parameter: Parameter, given: str) -> Any:
    try:
        return parameter.read(given)
    except ValueError as fault:
        raise _bad(parameter.where, parameter.name, str(fault)) from None


def _bad(where: str, name: str, fault: str) -> Problem:
    detail = f"header {name}: {fault}" if where == "header" else f"{where} parameter {name!r}: {fault}"
    return Problem(problems.BAD_REQUEST, detail, errors=problems.faults({name: fault}))


def _too_large(limit: int) -> Problem:
    return Problem(problems.TOO_LARGE, f"the body is larger than {limit} bytes", limit=limit)
