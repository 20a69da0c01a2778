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

GENERIC = {"POST /tasks", "POST /tasks/{task}"}  # which tasks there are, and their arguments, stands at their own paths
OF_A_TASK = {"urn:penstock:problem:invalid-arguments", "urn:penstock:problem:unknown-task"}

#: a path's parameter → where answers tell of values that are there: in themselves, or in their items
TOLD = {"task": "task_id", "letter_id": "id"}

_numbers = itertools.count()
_there: dict[str, str] = {}

openapi_format("decimal", st.decimals().map(str))
openapi_format("duration", st.integers(0, 10**6).map("PT{}S".format))  # a week is refused by msgspec


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:  # noqa: ARG001  (a hook's shape)
    """Let no request that fits the description contradict itself or another, so that each of them has to be taken."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if next(_numbers) % 2:  # what was made up is almost never there
        case.path_parameters.update({name: value for name, value in _there.items() if name in case.path_parameters})
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"key-{next(_numbers)}"  # used for another request it would be a 422
    bodies = case.body if isinstance(case.body, list) else [case.body]
    for options in (case.query, *bodies):
        if isinstance(options, dict):
            _agree(options)


@schemathesis.hook
def after_call(context: HookContext, case: Case[Any], response: Response) -> None:  # noqa: ARG001
    """Remember the newest task and dead letter that an answer tells of."""
    told = response.json() if response.status_code < 300 and "json" in str(response.headers.get("content-type")) else {}
    items = told.get("items") if isinstance(told, dict) else None
    for each in [told, *(items or [])[:1]]:
        for name, key in TOLD.items():
            in_place = name == "task" or case.operation.path == "/dead"
            if in_place and isinstance(each, dict) and isinstance(each.get(key), str):
                _there[name] = each[key]


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
    not_generic = case.operation.label in GENERIC and problem.get("type") in OF_A_TASK
    # to JSON Schema 2.0 is an integer; to Python, and so to a hint, it is none
    not_integer = re.search("expected (int|a whole number).*, got (float|a number)", problem.get("detail", ""))
    return not (not_generic or not_integer)
