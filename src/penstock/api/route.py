"""The words of the route table: a route, its parameters, body and responses. Values only.

A route says all of what it is in one place. Serving it, checking its parameters, its OpenAPI operation, its entry in
the documentation and the scope that a key needs are all read from there, so none of them can be forgotten: a route
that lacks one is refused when it is made.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from penstock.api.answer import Answer
from penstock.core.access import SCOPES, Scope

#: Gets the call (api.call, which knows routes and so cannot be known here) and gives the answer.
Handler = Callable[[Any], Awaitable[Answer]]

Schema = Mapping[str, Any]

SAFE = ("GET", "HEAD")
METHODS = ("GET", "POST", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `read` makes the value from its text, and raises ValueError saying what is wrong with it."""

    name: str
    where: Literal["path", "query", "header"]
    schema: Schema
    summary: str
    read: Callable[[str], Any] = str
    many: bool = False  #: may be given several times; its value is a list
    lines: bool = False  #: a header that may stand on several lines, which belong together
    default: Any = None


@dataclass(frozen=True, slots=True)
class Body:
    """What may be sent with the request: a schema a content type."""

    types: Mapping[str, Schema]
    required: bool = True
    raw: bool = False  #: bytes that are only passed on: the larger limit holds

    @property
    def names(self) -> str:
        """The content types, for people."""
        return " or ".join(self.types)


@dataclass(frozen=True, slots=True)
class Link:
    """Where an answer leads: a route, and the place in the answer that its path parameter is taken from."""

    method: str
    path: str
    parameter: str
    pointer: str  #: JSON pointer into the body


@dataclass(frozen=True, slots=True)
class Response:
    """One way in which a route can answer."""

    description: str
    schema: Schema | None = None  #: None: no content
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)  #: name → what it says
    links: tuple[Link, ...] = ()


@dataclass(frozen=True)
class Route:
    """One method on one path."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Handler
    scope: Scope
    tag: str
    summary: str
    responses: Mapping[int, Response]  #: the good ones
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    problems: tuple[int, ...] = ()  #: besides those that follow from the rest
    backed: bool = True  #: whether it asks the broker or the result backend

    def __post_init__(self) -> None:
        missing = [*self._undocumented(), *self._unauthorised(), *self._undescribed()]
        if missing:
            raise ValueError(f"{self.method} {self.path}: " + "; ".join(missing))

    def _undocumented(self) -> list[str]:
        texts = [self.summary, self.tag, *(each.summary for each in self.parameters)]
        texts += [each.description for each in self.responses.values()]
        return [] if all(texts) else ["every route, parameter and response needs its text"]

    def _unauthorised(self) -> list[str]:
        return [] if self.scope in SCOPES else [f"the scope must be one of {', '.join(SCOPES)}"]

    def _undescribed(self) -> list[str]:
        in_path = set(re.findall(r"{(\w+)}", self.path))
        described = {each.name for each in self.parameters if each.where == "path"}
        found = [] if in_path == described else [f"path parameters {in_path ^ described} are not described"]
        found += [] if self.responses else ["no response is described"]
        return found + ([] if self.method in METHODS else ["unknown method"])

    @cached_property
    def path_parameters(self) -> dict[str, Parameter]:
        """The parts of the path by name."""
        return {each.name: each for each in self.parameters if each.where == "path"}

    @cached_property
    def query(self) -> dict[str, Parameter]:
        """The query parameters by name."""
        return {each.name: each for each in self.parameters if each.where == "query"}

    @cached_property
    def headers(self) -> dict[bytes, Parameter]:
        """The header parameters by their name as it stands in an ASGI scope."""
        return {each.name.lower().encode(): each for each in self.parameters if each.where == "header"}

    @cached_property
    def defaults(self) -> dict[str, Any]:
        """The values of the parameters that are not given."""
        return {each.name: [] if each.many else each.default for each in self.parameters if each.where != "path"}

    @cached_property
    def safe(self) -> bool:
        """Whether it changes nothing."""
        return self.method in SAFE

    @cached_property
    def streams(self) -> bool:
        """Whether an answer may go on without an end."""
        return any(each.content_type == "text/event-stream" for each in self.responses.values())

    @cached_property
    def refusals(self) -> list[int]:
        """Every status with which it can answer a problem."""
        found = {400, 500, *self.problems}
        if not self.path.startswith("/health/"):
            found.add(403)
        if self.scope != "none":
            found |= {401, 429}
        if self.backed:
            found.add(503)
        if not self.safe:
            found.add(415)
        if self.body is not None:
            found.add(413)
        return sorted(found)
