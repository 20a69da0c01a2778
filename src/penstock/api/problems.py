"""RFC 9457: every error of the API is application/problem+json, and here stands which error becomes which problem.

A Problem can be raised anywhere below a route; errors of core are turned into one by a table, most specific first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from penstock.core import errors

Headers = Sequence[tuple[bytes, bytes]]

#: Clients compare `type`; these names are part of the public contract.
PREFIX = "urn:penstock:problem:"


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of problem: its name (the end of the `type` URN), its status and its title, the same every time."""

    name: str
    status: int
    title: str


BAD_REQUEST = Kind("bad-request", 400, "The request is not valid")
MALFORMED = Kind("malformed", 400, "The body is malformed")
UNAUTHENTICATED = Kind("unauthenticated", 401, "An API key is needed")
FORBIDDEN = Kind("forbidden", 403, "The API key does not allow this")
FOREIGN_ORIGIN = Kind("foreign-origin", 403, "Requests from other web sites are refused")
FOREIGN_HOST = Kind("foreign-host", 403, "The host name is not one of this server's")
NOT_FOUND = Kind("not-found", 404, "Not found")
UNKNOWN_TASK = Kind("unknown-task", 404, "There is no task of this name")
UNKNOWN_TASK_AMONG_MANY = Kind("unknown-task", 422, "There is no task of this name")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "The method is not allowed here")
TIMED_OUT = Kind("timed-out", 408, "The request did not arrive in time")
CONFLICT = Kind("conflict", 409, "The present state does not allow this")
TASK_ID_TAKEN = Kind("task-id-taken", 409, "The task_id is taken")
IN_PROGRESS = Kind("in-progress", 409, "A request with this Idempotency-Key is being processed")
TOO_LARGE = Kind("too-large", 413, "The body is too large")
UNSUPPORTED_TYPE = Kind("unsupported-type", 415, "The body has the wrong content type")
INVALID_ARGUMENTS = Kind("invalid-arguments", 422, "The arguments do not fit the task")
INVALID_OPTIONS = Kind("invalid-options", 422, "The submission is not valid")
KEY_REUSED = Kind("idempotency-key-reused", 422, "This Idempotency-Key was used for a different request")
TOO_MANY_REQUESTS = Kind("too-many-requests", 429, "The rate limit is used up")
HEADERS_TOO_LARGE = Kind("headers-too-large", 431, "The headers are too large")
INTERNAL = Kind("internal", 500, "Something went wrong here")
UNAVAILABLE = Kind("unavailable", 503, "A server behind this one cannot be used now")
NO_ANSWER = Kind("no-answer", 504, "The worker did not answer in time")


class Problem(Exception):
    """An error to be answered. `members` are added to the standard ones: errors, near, index and the like."""

    def __init__(self, kind: Kind, detail: str, *, headers: Headers = (), **members: Any) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.headers = headers
        self.members = members

    def content(self) -> dict[str, Any]:
        """The problem as the object that is sent."""
        return {
            "type": PREFIX + self.kind.name,
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            **self.members,
        }


def kinds(status: int) -> list[Kind]:
    """The kinds of problem that answer with this status."""
    return [kind for kind in globals().values() if isinstance(kind, Kind) and kind.status == status]


def title(status: int) -> str:
    """What a status says, for the documentation."""
    return "; ".join(kind.title for kind in kinds(status)) or HTTPStatus(status).phrase


def faults(found: Mapping[str, str]) -> list[dict[str, str]]:
    """Faults by field in the form in which problems list them."""
    return [{"field": field, "message": message} for field, message in found.items()]


def retry_after(seconds: float) -> Headers:
    """The header that says when to try again, in whole seconds and at least one."""
    return ((b"retry-after", b"%d" % max(1, math.ceil(seconds))),)


def _unknown_task(error: errors.UnknownTask) -> Problem:
    return Problem(UNKNOWN_TASK, str(error), near=list(error.near))


def _invalid_arguments(error: errors.InvalidArguments) -> Problem:
    return Problem(INVALID_ARGUMENTS, str(error), errors=faults(error.faults))


def _invalid_options(error: errors.InvalidOptions) -> Problem:
    return Problem(INVALID_OPTIONS, str(error), errors=faults(error.faults))


def _unavailable(error: errors.Unavailable) -> Problem:
    return Problem(UNAVAILABLE, str(error), headers=retry_after(error.retry_after))


def _conflict(error: errors.Conflict) -> Problem:
    members: dict[str, Any] = {"state": error.state} if error.state else {}
    return Problem(CONFLICT, str(error), **members)


def _plain(kind: Kind, headers: Headers = ()) -> Callable[[Any], Problem]:
    return lambda error: Problem(kind, str(error), headers=headers)


#: Core's errors; the nearest class of an error decides.
OF_ERROR: dict[type[Exception], Callable[[Any], Problem]] = {
    errors.UnknownTask: _unknown_task,
    errors.InvalidArguments: _invalid_arguments,
    errors.InvalidOptions: _invalid_options,
    errors.EncodingError: _plain(INVALID_ARGUMENTS),
    errors.MessageTooLarge: _plain(TOO_LARGE),
    errors.TaskIdTaken: _plain(TASK_ID_TAKEN),
    errors.DecodingError: _plain(MALFORMED),
    errors.Unavailable: _unavailable,
    # a full or read-only disk may be freed: the client is to try again, the operator reads the detail
    errors.StorageError: _plain(UNAVAILABLE, retry_after(5)),
    errors.Conflict: _conflict,
    errors.NotFound: _plain(NOT_FOUND),
    errors.ResultTimeout: _plain(NO_ANSWER),
}


def problem_of(error: BaseException) -> Problem | None:
    """The problem that stands for `error`; None for an error that nobody foresaw."""
    if isinstance(error, Problem):
        return error
    makers: Iterator[Callable[[Any], Problem]] = (OF_ERROR[cls] for cls in type(error).__mro__ if cls in OF_ERROR)
    make = next(makers, None)
    return make(error) if make else None
