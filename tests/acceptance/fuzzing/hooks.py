"""What schemathesis cannot learn from a description: rules between the parts of a request, and formats of our own.

Loaded by schemathesis itself (SCHEMATHESIS_HOOKS), before it asks anything.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi import format as openapi_format

GENERIC = {"POST /tasks", "POST /tasks/{task}"}  # what a task's arguments may be stands at its own path

_numbers = itertools.count()

openapi_format("decimal", st.decimals().map(str))
openapi_format("duration", st.integers(0, 10**6).map("PT{}S".format))  # a week is refused by msgspec


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:  # noqa: ARG001  (a hook's shape)
    """Let no request that fits the description contradict itself or another, so that each of them has to be taken."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"key-{next(_numbers)}"  # used for another request it would be a 422
    bodies = case.body if isinstance(case.body, list) else [case.body]
    for options in (case.query, *bodies):
        if isinstance(options, dict):
            _agree(options)


def _agree(options: dict[str, Any]) -> None:
    if options.get("countdown") is not None and "eta" in options:
        del options["eta"]
    soft, hard = options.get("soft_time_limit"), options.get("time_limit")
    if soft is not None and hard is not None and float(soft) >= float(hard):
        del options["soft_time_limit"]


@schemathesis.hook
def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:  # noqa: ARG001
    """Pass over refusals that are meant, though the description allows the request."""
    problem = response.json() if response.status_code == 422 else {}
    not_generic = case.operation.label in GENERIC and problem.get("type") == "urn:penstock:problem:invalid-arguments"
    # to JSON Schema 2.0 is an integer; to Python, and so to a hint, it is none
    not_integer = re.search("expected (int|a whole number).*, got (float|a number)", problem.get("detail", ""))
    return not (not_generic or not_integer)
